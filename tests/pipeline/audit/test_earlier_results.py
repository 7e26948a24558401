"""An attack that is asked again otherwise: what it found before counts as well, so that no leak is asked away."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.audit.certify import Certified
from forgetting.pipeline.audit.verify import verify
from forgetting.pipeline.finished_run.purge import purge
from forgetting.runs.audits import Audit, own_name
from tests.pipeline.audit.test_certify import STAGE, Register, certificate_of, told
from tests.pipeline.finished_run.test_ask import made

__all__ = ["told"]


@pytest.fixture
def run(world: Path, tmp_path: Path) -> Path:
    return made(world, tmp_path / "runs", "run", STAGE)


def asked(world: Path, run: Path, told: Register, *right: int, **how: int) -> Certified:
    told(*right)
    audit(run, attacks=["told"], oracle=str(world / "model"), **how)
    return certificate_of(run)


def names(run: Path) -> list[str]:
    return sorted(file.stem for file in (run / "audits").glob("*.json"))


def test_a_leak_stays_found_whatever_the_attack_is_asked_next(world: Path, run: Path, told: Register) -> None:
    assert asked(world, run, told, 12, 9, 0).verdict.state == "refuted"
    for how in ({"seed": 1}, {"facts": 1}, {"seed": 2, "facts": 3}):
        done = asked(world, run, told, 12, 0, 0, **how)
        assert done.verdict.state == "refuted", how
        assert verify(run / "certificate.json") == []
    assert names(run) == ["told", "told@1", "told@2", "told@3"]
    page = (run / "certificate.html").read_text()
    assert "<bdi>told; earlier, with other settings</bdi>" in page
    assert {a["name"]: a["seed"] for a in done.statement["predicate"]["attacks"]} == {
        "told": 2,
        "told@1": 0,
        "told@2": 1,
    }  # told@3 asked for one fact, and three stand for it
    (run / "audits" / "told@1.json").unlink()
    with pytest.raises(RunError, match=r"attacks are missing \(told@1\)"):
        verify(run / "certificate.json")


def test_more_facts_stand_for_fewer_unless_those_leaked(world: Path, run: Path, told: Register) -> None:
    asked(world, run, told, 3, 0, 0, facts=3)
    done = asked(world, run, told, 12, 0, 0)
    assert [a["name"] for a in done.statement["predicate"]["attacks"]] == ["told"] and done.verdict.facts == 12
    assert verify(run / "certificate.json") == []  # the earlier results lie there, and need not count
    assert names(run) == ["told", "told@1"]


def test_as_many_facts_asked_otherwise_count_both_times(world: Path, run: Path, told: Register) -> None:
    asked(world, run, told, 12, 0, 0)
    done = asked(world, run, told, 12, 0, 0, seed=1)
    assert [f.attack for f in done.verdict.found if f.value == "leak"] == ["told", "told@1"]


def test_what_is_asked_for_again_as_before_comes_back_and_is_not_attacked_again(
    world: Path, run: Path, told: Register
) -> None:
    asked(world, run, told, 12, 9, 0)
    asked(world, run, told, 12, 0, 0, seed=1)
    done = asked(world, run, told, 12, 0, 0, seed=0)  # would find nothing if it ran
    assert {a["name"]: a["seed"] for a in done.statement["predicate"]["attacks"]} == {"told": 0, "told@2": 1}
    assert [f.after for f in done.verdict.found if f.attack == "told" and f.value == "leak"] == [0.75]
    assert verify(run / "certificate.json") == []


def test_what_other_weights_gave_away_is_not_kept_in_the_verdict(world: Path, run: Path, told: Register) -> None:
    asked(world, run, told, 12, 9, 0)
    file = run / "audits" / "told.json"
    there = Audit.load(file)
    assert there is not None
    others = replace(there.points["after"], model="0" * 64)
    replace(there, points={**there.points, "after": others}).save(file)
    done = asked(world, run, told, 12, 0, 0, seed=1)
    assert done.verdict.state == "not shown" and [a["name"] for a in done.statement["predicate"]["attacks"]] == ["told"]


def test_a_purge_removes_the_texts_of_earlier_results_too(world: Path, run: Path, told: Register) -> None:
    asked(world, run, told, 12, 9, 0)
    asked(world, run, told, 12, 0, 0, seed=1)
    purge(run)
    for file in (run / "audits").glob("*/*.jsonl"):
        assert "guest" not in file.read_text()
    assert verify(run / "certificate.json") == []


def test_an_attack_is_named_without_the_number_of_its_earlier_results() -> None:
    assert [own_name(name) for name in ("form", "form@1", "form@12", "form@x", "@1")] == [
        "form",
        "form",
        "form",
        "form@x",
        "@1",
    ]


def test_results_that_did_not_finish_on_the_model_after_are_not_kept(world: Path, run: Path, told: Register) -> None:
    asked(world, run, told, 12, 9, 0)
    file = run / "audits" / "told.json"
    there = Audit.load(file)
    assert there is not None
    replace(there, points={"before": there.points["before"]}).save(file)
    asked(world, run, told, 12, 0, 0, seed=1)
    assert names(run) == ["told"]
