"""What was cut out of a certificate is named, with its text and the register made to fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetting.audits import ATTACKS, Target
from forgetting.core.digest import file_digest
from forgetting.core.record import Record
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.audit.certify import as_text, certified, certify
from forgetting.pipeline.audit.register import registered
from forgetting.pipeline.audit.verify import verify
from forgetting.pipeline.finished_run.purge import purge
from forgetting.runs.audits import Asked, Audit
from forgetting.runs.redact import redactor_of
from forgetting.runs.register import read_register, write_register
from tests.pipeline.audit.test_certify import STAGE, Told
from tests.pipeline.finished_run.test_ask import made


@pytest.fixture(scope="module")
def whole(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run under two attacks: `loud` finds nine of twelve facts in the model after, `quiet` none."""
    kept = dict(ATTACKS._entries)
    folder = tmp_path_factory.mktemp("verified") / "runs"
    run = made(world, folder, "run", STAGE)
    for name, right in (("loud", (12, 9, 0)), ("quiet", (12, 0, 0))):
        ATTACKS.register(name)(lambda right=right: Told(*right))
    certify(run, audit(run, attacks=["loud", "quiet"], oracle=str(world / "model")))
    ATTACKS._entries.clear()
    ATTACKS._entries.update(kept)
    assert verify(run / "certificate.json") == []
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole.parent, tmp_path / "runs")
    return tmp_path / "runs" / "run"


def fitted(run: Path, text: str) -> None:
    """Writes a certificate, and its digest into the register; there is no page of it."""
    (run / "certificate.html").unlink(missing_ok=True)
    (run / "certificate.json").write_text(text)
    own = replace(registered(run), certificate=file_digest(run / "certificate.json"))
    others = [r for r in read_register(run / "register.json") if (r.id, r.date) != (own.id, own.date)]
    write_register(run / "register.json", [*others, own])


def without(run: Path, **changed: Any) -> None:
    """A certificate as it is computed for fewer attacks or models."""
    predicate = json.loads((run / "certificate.json").read_text())["predicate"]
    given = {
        "margin": predicate["margin"],
        "date": predicate["date"],
        "key": redactor_of(run.parent),
        "models": predicate["models"],
        **changed,
    }
    fitted(run, as_text(certified(run, registered(run), **given).statement))


def asked_for(run: Path, *attacks: str, oracle: bool = True) -> None:
    Asked(attacks=attacks, oracle=oracle).save(run / "audit.json")


def test_an_attack_cut_out_with_all_that_it_says_is_named_by_its_results(run: Path) -> None:
    asked_for(run, "quiet")  # what was asked for was made to fit, too
    without(run, names=["quiet"])
    assert verify(run / "certificate.json") == [
        f"attack loud: has results in {run / 'audits' / 'loud.json'}, and no row in the certificate"
    ]


def test_an_attack_whose_results_went_as_well_is_named_by_its_records(run: Path) -> None:
    (run / "audits" / "loud.json").unlink()
    asked_for(run, "quiet")
    without(run)
    assert verify(run / "certificate.json") == [
        f"attack loud: has records in {run / 'audits' / 'loud'}, and its loud.json is missing"
    ]


def test_an_attack_of_which_nothing_is_left_is_named_by_what_was_asked_for(run: Path) -> None:
    kept = (run / "audit.json").read_bytes()
    (run / "audits" / "loud.json").unlink()
    shutil.rmtree(run / "audits" / "loud")
    asked_for(run, "quiet")
    without(run)
    (run / "audit.json").write_bytes(kept)
    assert verify(run / "certificate.json")[0] == "attack loud: was asked for (audit.json), and is missing"
    (run / "audit.json").unlink()
    assert verify(run / "certificate.json") == ["audit.json: is missing, which says what attacks were asked for"]
    # Made again as it is now, the certificate says so itself, and shows nothing.
    (run / "audit.json").write_bytes(kept)
    without(run)
    assert verify(run / "certificate.json") == []
    predicate = json.loads((run / "certificate.json").read_text())["predicate"]
    assert predicate["asked"] == {"attacks": ["loud", "quiet"], "left_out": [], "missing": ["loud"]}
    assert any(text.startswith("Asked for and without a result") for text in predicate["limits"])


def test_an_oracle_that_was_cut_out_is_named(run: Path) -> None:
    models = json.loads((run / "certificate.json").read_text())["predicate"]["models"]
    without(run, models={point: whom for point, whom in models.items() if point != "oracle"})
    assert verify(run / "certificate.json") == [
        "models: there was an oracle (audit.json), and the certificate names none"
    ]


PARTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "attack": (lambda p: p["attacks"].pop(0), "attack loud: has results in"),
    "rows": (lambda p: p.update(results=[r for r in p["results"] if r["attack"] != "loud"]), "predicate.results.0"),
    "controls": (lambda p: p.update(controls=[c for c in p["controls"] if c["attack"] != "loud"]), "predicate.contr"),
    "records": (lambda p: p["attacks"][0].pop("records"), "predicate.attacks.loud.records.before.file: not written"),
    "gates": (lambda p: p["gates"].clear(), "predicate.gates"),
    "bounds": (lambda p: p["bounds"].clear(), "predicate.bounds"),
    "worst": (lambda p: p["worst"].clear(), "predicate.worst"),
    "limits": (lambda p: p["limits"].pop(), "predicate.limits"),
    "asked": (lambda p: p.pop("asked"), "predicate.asked.attacks.0: not written"),
    "data": (lambda p: p["data"].pop("forget"), "predicate.data.forget.examples: not written"),
    "request": (lambda p: p["request"].pop("commitment"), "predicate.request.commitment: not written"),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_that_is_cut_out_is_named(run: Path, part: str) -> None:
    cut, named = PARTS[part]
    statement = json.loads((run / "certificate.json").read_text())
    cut(statement["predicate"])
    fitted(run, as_text(statement))
    found = verify(run / "certificate.json")
    assert any(line.startswith(named) for line in found), found


def test_a_page_that_says_something_else_is_named(run: Path) -> None:
    page = run / "certificate.html"
    whole = page.read_text()
    page.write_text(whole.replace("refuted", "shown").replace("still gives away more", "gives away as much"))
    assert verify(run / "certificate.json") == ["certificate.html: is not the page of this certificate"]
    page.write_text(whole)
    purge(run)
    assert verify(run / "certificate.json") == []  # it may say still that texts are there


def test_files_of_the_model_that_are_cut_out_are_named(run: Path) -> None:
    statement = json.loads((run / "certificate.json").read_text())
    gone = statement["subject"].pop(0)["name"]
    fitted(run, as_text(statement))
    assert any(line.startswith(f"subject.{gone}.") for line in verify(run / "certificate.json"))


def test_an_attack_that_was_asked_for_and_failed_is_missing_and_nothing_is_shown(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))
    run = made(world, tmp_path / "runs", "run", STAGE)

    def fails(target: Target) -> Sequence[Record]:
        raise MemoryError("too large")

    ATTACKS.register("quiet")(lambda: Told(12, 0, 0))
    ATTACKS.register("fails")(lambda: fails)
    with pytest.raises(Exception, match="the attack 'fails' of tests failed"):
        audit(run, attacks=["fails"], oracle=str(world / "model"))
    done = certify(run, audit(run, attacks=["quiet"], oracle=str(world / "model")), margin=0.4)
    assert [found.state for found in done.verdict.found] == ["shown"] and done.verdict.state == "not shown"
    assert "asked for and without a result: fails; 1 of 1 attacks shown" in done.statement["predicate"]["line"]
    assert "<b>Asked for and without a result:</b> fails." in (run / "certificate.html").read_text()
    assert verify(run / "certificate.json") == [] and Audit.load(run / "audits" / "fails.json") is None
