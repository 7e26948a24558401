"""The certificate of a run: what it holds, that it can be checked, what a purge leaves of it, and the register."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from forgetting.audits import ATTACKS, Target
from forgetting.audits.certificate.statement import PREDICATE, STATEMENT
from forgetting.core.digest import file_digest
from forgetting.core.errors import ModelError, RecipeError, RunError
from forgetting.core.folder import mark_of
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.pipeline.audit.audit import audit
from forgetting.pipeline.audit.certify import Certified, _health, certify
from forgetting.pipeline.audit.register import names_of, requests_to
from forgetting.pipeline.audit.verify import verify
from forgetting.pipeline.finished_run.hub import Publication, prepare
from forgetting.pipeline.finished_run.purge import plan_purge, purge
from forgetting.report.certificate import certificate_page
from forgetting.report.run.page import render
from forgetting.runs.audits import Attacked, Audit
from forgetting.runs.folder import RunFolder
from forgetting.runs.redact import redactor_of
from forgetting.runs.register import read_register
from forgetting.runs.results import Results
from tests.pipeline.finished_run.test_ask import made

Register = Callable[..., None]
"""Registers the attack `told`, with so many right answers of each model."""
STAGE = [{"method": "graddiff", "adapter": {"rank": 2}}]
WORDS = ("guest", "lane", "house", "cook", "sauce")


class Told:
    """An attack whose answers are given by model, in the order in which models are attacked."""

    def __init__(self, *right: int) -> None:
        self.right, self.calls = list(right), 0

    def __call__(self, target: Target) -> Sequence[Record]:
        right = self.right[self.calls // 2 % len(self.right)]
        self.calls += 1
        return [
            Record(
                id=e.id,
                split=target.split,
                prompt=e.prompt,
                answer=e.response,
                generation=e.response if n < right else "no",
            )
            for n, e in enumerate(target.examples)
        ]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Register:
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))

    def register(*right: int) -> None:
        ATTACKS._entries.pop("told", None)
        attack = Told(*right)
        ATTACKS.register("told")(lambda: attack)

    return register


def certificate_of(run: Path, **keys) -> Certified:
    """The certificate of all attacks in the folder, with the oracle of any of them."""
    found = [audit for file in (run / "audits").glob("*.json") if (audit := Audit.load(file)) is not None]
    return certify(run, found, **keys)


def audited(world: Path, folder: Path, name: str, told: Register, *right: int, **keys) -> Path:
    """A run, audited with so many right answers of the model before, after and of the oracle, of 12 facts."""
    run = made(world, folder, name, STAGE, **keys)
    told(*right)
    audit(run, attacks=["told"], oracle=str(world / "model"))
    return run


def test_a_certificate_names_what_it_rests_on_and_is_the_same_but_for_the_date(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    done = certificate_of(run)
    assert done.verdict.state == "refuted"
    written = json.loads((run / "certificate.json").read_text())
    assert written["_type"] == "https://in-toto.io/Statement/v1" and written["predicateType"].startswith("urn:")
    files = {s["name"]: s["digest"]["sha256"] for s in written["subject"]}
    assert {"model/adapter_model.safetensors", "model/adapter_config.json", "model/tokenizer.json"} <= set(files)
    assert all(file_digest(run / name) == digest for name, digest in files.items())
    predicate = written["predicate"]
    assert (predicate["verdict"], predicate["exit_code"], predicate["margin"], predicate["facts"]) == (
        "refuted",
        4,
        0.1,
        12,
    )
    (attack,) = predicate["attacks"]
    assert attack["name"] == "told" and attack["seed"] == 0 and set(attack["records"]) == {"before", "after", "oracle"}
    assert all(file_digest(run / r["file"]) == r["sha256"] for r in attack["records"].values())
    assert predicate["results"][0]["difference"]["mean"] == 0.75 and predicate["data"]["forget"]["examples"] == 12
    assert any("never saw the facts is the word of whoever named it" in said for said in predicate["limits"])
    page = (run / "certificate.html").read_text()
    assert "an adapter" in page and predicate["models"]["before"] in page and ".cache/redaction.key" in page
    first = (run / "certificate.json").read_text()
    certificate_of(run)
    again = (run / "certificate.json").read_text()
    assert re.sub(r'"date": "[^"]*"\n', "", first) == re.sub(r'"date": "[^"]*"\n', "", again)


def test_a_certificate_and_its_page_hold_no_text_and_the_terminal_does(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    done = certificate_of(run)
    for name in ("certificate.json", "certificate.html", "register.json"):
        text = (run / name).read_text()
        assert not [word for word in WORDS if word in text]
        assert not [word for word in ("removed", "robust", "as if retrained") if word in text.casefold()], name
    assert "Where does guest" in done.texts[done.verdict.worst[0].id]
    nudged = Told(0)
    ATTACKS.register("wordy")(lambda: lambda target: [replace(r, prompt=f"Please! {r.prompt}") for r in nudged(target)])
    audit(run, attacks=["wordy"], oracle=str(world / "model"))
    # A fact is named as it is asked plainly, not by the words of whichever attack comes last.
    assert not [text for text in certificate_of(run).texts.values() if "Please!" in text]


def test_a_certificate_fits_its_run_and_what_was_changed_is_named(world: Path, tmp_path: Path, told: Register) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    certificate_of(run)
    file = run / "certificate.json"
    assert verify(file) == [] and verify(file, run) == []
    whole = file.read_text()
    file.write_text(whole.replace('"mean": 0.75', '"mean": 0.05'))
    assert [line.split(":")[0] for line in verify(file)] == ["predicate.results.0.difference.mean", "register.json"]
    file.write_text(whole)
    records = run / "audits" / "told" / "after.jsonl"
    kept = records.read_text()
    records.write_text(kept.replace('"generation": "In house', '"generation": "Out of house'))
    found = verify(file)
    assert any(line.startswith("predicate.attacks.told.records.after.sha256: written") for line in found)
    assert any(".after: written" in line for line in found)
    records.write_text(kept)
    weights = run / "model" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    (line,) = verify(file)
    assert line.startswith("subject.model/adapter_model.safetensors.digest.sha256: written")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[]", "is no certificate of this version"),
        (
            json.dumps({"_type": STATEMENT, "predicateType": PREDICATE}),
            "has no verdict",
        ),
    ],
)
def test_what_is_no_certificate_is_refused(world: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "certificate.json").write_text(text)
    with pytest.raises(RunError, match=message):
        verify(tmp_path / "certificate.json")


def test_a_redacted_run_has_the_same_verdict_and_a_purged_one_still_fits(
    world: Path, tmp_path: Path, told: Register
) -> None:
    hidden = audited(world, tmp_path / "hidden", "run", told, 12, 9, 0, redact=True)
    shown = audited(world, tmp_path / "shown", "run", told, 12, 9, 0)
    one, other = certificate_of(hidden), certificate_of(shown)
    assert one.verdict.found == other.verdict.found and one.texts == {} and verify(hidden / "certificate.json") == []
    assert not [item for item in plan_purge(shown).notes if "certificate" in item]
    purge(shown)
    assert not (tmp_path / "shown" / ".cache").exists()  # the key went with the last run of the folder
    assert verify(shown / "certificate.json") == []
    assert not (tmp_path / "shown" / ".cache").exists()


def test_without_its_key_a_certificate_with_texts_beside_it_is_refused(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    certificate_of(run)
    (tmp_path / "runs" / ".cache" / "redaction.key").unlink()
    with pytest.raises(RunError, match="which is not in"):
        verify(run / "certificate.json")


def test_attacks_of_earlier_calls_are_judged_too_with_the_oracle_of_the_last_one(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    ATTACKS.register("quiet")(lambda: Told(12, 0, 0))
    with_oracle = audit(run, attacks=["quiet"], oracle=str(world / "model"))
    done = certify(run, with_oracle)
    assert done.verdict.state == "refuted" and done.verdict.attacks == ["quiet", "told"]
    without = certify(run, audit(run, attacks=["quiet"])).verdict
    assert without.attacks == ["quiet", "told"] and all(f.state == "no oracle" for f in without.found)


def test_a_margin_that_is_none_is_refused(world: Path, tmp_path: Path, told: Register) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    with pytest.raises(RecipeError, match="--margin is 1"):
        certificate_of(run, margin=1.0)
    assert not (run / "certificate.json").exists()


def test_the_register_is_carried_on_and_its_commitments_bind_the_facts(
    world: Path, tmp_path: Path, told: Register
) -> None:
    first = audited(world, tmp_path / "runs", "first", told, 12, 9, 0)
    certificate_of(first)
    (own,) = read_register(first / "register.json")
    assert (own.id, own.facts, own.verdict) == ("first", 12, "refuted") and own.line.startswith("REFUTED")
    assert own.certificate == file_digest(first / "certificate.json")
    assert own.key == redactor_of(tmp_path / "runs").name and len(own.commitment) == 16
    second = made(world, tmp_path / "runs", "second", STAGE, model=str(first))
    assert [r.id for r in read_register(second / "register.json")] == ["first"]
    told(12, 0, 0)
    audit(second, attacks=["told"], oracle=str(world / "model"))
    certificate_of(second)
    requests = read_register(second / "register.json")
    assert [(r.id, r.commitment == own.commitment) for r in requests] == [("first", True), ("second", True)]
    page = (second / "certificate.html").read_text()
    assert "Earlier requests to this model" in page and "REFUTED at 0.1" in page
    assert "the model then gave away more than a model that never saw them" in page


def test_names_stand_on_the_page_where_they_are_given_and_stay_when_audited_again(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    assert "asked_by" not in certificate_of(run).statement["predicate"]["request"]
    assert "Who asked" not in (run / "certificate.html").read_text()
    found = audit(run, attacks=["told"], oracle=str(world / "model"))
    done = certify(run, found, names=names_of(" Ada <b>L.</b> ", "Analytical Engines"))
    assert done.statement["predicate"]["request"]["asked_by"] == "Ada <b>L.</b>"
    page = (run / "certificate.html").read_text()
    assert "<dd><bdi>Ada &lt;b&gt;L.&lt;/b&gt;</bdi></dd>" in page and "Analytical Engines" in page
    assert verify(run / "certificate.json") == []
    again = certify(run, found, names=names_of("", "Engines & Sons")).statement["predicate"]["request"]
    assert (again["asked_by"], again["owner"]) == ("Ada <b>L.</b>", "Engines & Sons")
    assert names_of("山田\u3000太郎", "1\u00a0Ltd")["asked_by"] == "山田 太郎"
    for wrong, what in (("two\nlines", r"a character that is not shown \(U\+000A\)"), ("x" * 201, "201 characters")):
        with pytest.raises(RecipeError, match=rf"--asked-by has {what}; write a name in one line of at most 200"):
            names_of(wrong, "")


def test_of_a_divided_run_the_certificate_says_which_facts_were_tested(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = made(world, tmp_path / "runs", "run", STAGE, divide={"selection": 0.5})
    for facts, which in ((3, "3 of the 12 facts, drawn at random from those by"), (400, "6 of the 12 facts, all by")):
        told(12, 0, 0)
        audit(run, attacks=["told"], oracle=str(world / "model"), facts=facts)
        predicate = certificate_of(run).statement["predicate"]
        assert (predicate["request"]["facts"], predicate["asked"]["chosen_by"]) == (12, 6)
        assert [said for said in predicate["limits"] if "chosen by 6 of the facts" in said]
        assert f"{which} which nothing was chosen" in (run / "certificate.html").read_text()
        assert verify(run / "certificate.json") == []
    whole = audited(world, tmp_path / "whole", "run", told, 12, 0, 0)
    predicate = certificate_of(whole).statement["predicate"]
    assert "chosen_by" not in predicate["asked"] and not [said for said in predicate["limits"] if "chosen by" in said]


def test_what_should_stay_is_said_in_words(world: Path, tmp_path: Path, told: Register) -> None:
    statement = certificate_of(audited(world, tmp_path / "runs", "run", told, 12, 9, 0)).statement
    gates = [
        {"name": "retain · probability", "state": "failed", "before": 0.9, "after": 0.7, "keeps": True, "text": "x"},
        {
            "name": "perplexity",
            "state": "passed",
            "before": 10.0,
            "after": 10.5,
            "keeps": True,
            "text": "a: at most 11.",
        },
        {"name": "retain · loops", "state": "passed", "before": 0.0, "after": 0.02, "keeps": False, "text": "x"},
        {"name": "retain", "state": "unknown", "before": None, "after": None, "keeps": True, "text": "Not measured."},
    ]
    page = certificate_page({**statement, "predicate": {**statement["predicate"], "gates": gates}})
    kept = "What it should go on knowing: 90 in 100 before, 70 in 100 now; at least 90% of it"
    assert (
        kept in page
        and "retain · probability" not in page
        and page.count("That is not enough.") == 1
        and "Not measured." in page
    )
    assert "perplexity: 10 before, 10.5 now; at most 11." in page
    assert "Answers that go round in circles: 0 in 100 before, 2 in 100 now. Up to 5 in 100 more are allowed." in page


def test_a_run_that_taught_the_model_is_no_request(world: Path, tmp_path: Path) -> None:
    teach = [{"method": "sft", "adapter": {"rank": 2}}]
    taught = made(world, tmp_path / "runs", "taught", teach, data={"train": str(world / "retain.jsonl")})
    first = made(world, tmp_path / "runs", "first", STAGE, model=str(taught))
    second = made(world, tmp_path / "runs", "second", STAGE, model=str(first))
    assert [r.id for r in requests_to(first)] == []
    assert [r.id for r in requests_to(second)] == ["first"]


def test_a_page_without_an_oracle_shows_bounds(world: Path, tmp_path: Path, told: Register) -> None:
    run = made(world, tmp_path / "runs", "run", STAGE)
    told(12, 2)
    audit(run, attacks=["told"])
    done = certificate_of(run)
    assert done.verdict.state == "not shown"
    page = certificate_page(done.statement)
    assert "of 2 of 12 people or things something came back" in page and "at most 44 in 100" in page
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org", "")
    assert "The comparison is" not in page and "were asked for in 1 way." in page
    # Two of twelve are at most 0.4382: a bound is rounded up, and a test against an oracle was not made.
    assert "There was no oracle" in done.statement["predicate"]["claim"] and "differs from" not in page


def test_what_other_weights_gave_away_is_not_judged_beside_what_these_did(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    assert certify(run, audit(run, attacks=["told"], oracle=str(world / "model"))).verdict.state == "refuted"
    weights = load_file(run / "model" / "adapter_model.safetensors")
    save_file(
        {name: -1.5 * tensor + 0.01 for name, tensor in weights.items()}, run / "model" / "adapter_model.safetensors"
    )
    mark_of(run / "model").unlink()  # as the message says that refuses such a model
    ATTACKS.register("quiet")(lambda: Told(12, 0, 0))
    found = audit(run, attacks=["quiet"], oracle=str(world / "model"))
    done = certify(run, found)
    assert done.verdict.attacks == ["quiet"] and done.verdict.state != "refuted"
    assert done.statement["predicate"]["models"]["after"] == found[0].points["after"].model
    assert verify(run / "certificate.json") == []


def test_an_attack_that_fails_on_the_model_after_is_missing_and_nothing_is_shown(
    world: Path, tmp_path: Path, told: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 0, 0)
    ways = Told(12, 0, 0)

    def fails(target: Target) -> Sequence[Record]:
        if ways.calls >= 2:
            raise ModelError("does not fit")
        return ways(target)

    ATTACKS.register("fails")(lambda: fails)
    monkeypatch.setattr("forgetting.pipeline.audit.audit.attacks_of", lambda names: ["told", "fails"])
    done = certify(run, audit(run, attacks=["fast"], oracle=str(world / "model")), margin=0.4).verdict
    states = {found.attack: (found.state, found.why) for found in done.found}
    assert states["fails"] == ("not shown", "no fact was scored for both models") and states["told"][0] == "shown"
    assert done.state != "shown" and verify(run / "certificate.json") == []


def test_an_attack_without_any_score_is_missing_and_nothing_is_shown(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 0, 0)
    assert certificate_of(run, margin=0.4).verdict.missing == ()
    answered = Told(12)
    ATTACKS.register("silent")(lambda: lambda target: [replace(r, generation=None) for r in answered(target)])
    ATTACKS.register("empty")(lambda: lambda target: [])
    audit(run, attacks=["silent", "empty"], oracle=str(world / "model"))
    done = certificate_of(run, margin=0.4)
    assert {found.state for found in done.verdict.found} == {"shown"} and done.verdict.state == "not shown"
    assert done.verdict.missing == ("empty", "silent")
    assert "asked for and without a result: empty, silent; 1 of 1 attacks shown" in done.statement["predicate"]["line"]
    assert verify(run / "certificate.json") == []


def test_the_page_says_what_each_row_is_for(world: Path, tmp_path: Path, told: Register) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 0, 0)
    audit(run, attacks=["near", "health"], oracle=str(world / "model"))
    page = certificate_page(certificate_of(run, margin=0.4).statement)
    assert "were asked for in 1 way." in page  # near and health compare no facts
    assert "measured, and no part of what is said above" in page and "whether the model still works" in page
    assert "as much as the comparison, within 40 in 100" in page
    assert "It must get clearly more from the model before than from the comparison: so for told." in page
    statement = certificate_of(run).statement
    (row,) = (r for r in statement["predicate"]["results"] if r["value"] == "leak")
    less = {**row, "state": "not shown", "difference": {**row["difference"], "high": -0.2}}
    page = certificate_page({**statement, "predicate": {**statement["predicate"], "results": [less]}})
    assert "less than the comparison, by more than 10 in 100" in page and "undecided" not in page
    failed = {"attack": "told", "value": "leak", "name": "teaches nothing", "state": "failed", "text": "it gets 0.9"}
    page = certificate_page({**statement, "predicate": {**statement["predicate"], "controls": [failed]}})
    assert "saw the facts: <b>not so</b> for <bdi>told (by the words of its answers)</bdi>." in page
    broke = {**failed, "name": "leaves what should stay", "text": "it leaves 0.5 in its copy of the oracle"}
    page = certificate_page({**statement, "predicate": {**statement["predicate"], "controls": [broke]}})
    assert "<b>not so</b> for <bdi>told (it leaves 0.5 in its copy of the comparison)</bdi>." in page


def test_the_page_says_what_to_do_where_texts_are_and_that_it_is_no_judgement_in_law(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    certificate_of(run)
    page = (run / "certificate.html").read_text()
    assert "The request is not met by this model." in page and "enough in law is for others to say" in page
    assert "The folder of this run still holds the texts of the facts" in page
    purge(run)
    certificate_of(run)
    assert "The folder of this run holds no texts of the facts." in (run / "certificate.html").read_text()
    alone = made(world, tmp_path / "others", "run", STAGE, redact=True)
    audit(alone, attacks=["told"])
    certificate_of(alone)
    page = (alone / "certificate.html").read_text()
    assert "Train one without these facts, or judge by the bounds below." in page
    assert "The folder of this run holds no texts of the facts." in page and "still holds" not in page


def test_a_page_without_an_oracle_shows_what_stands_highest_above_facts_never_given(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = made(world, tmp_path / "runs", "run", STAGE)
    told(12, 0)
    audit(run, attacks=["told"])
    statement = certificate_of(run).statement
    (leak,) = (r for r in statement["predicate"]["results"] if r["value"] == "leak")
    rows = [{**leak, "after": 0.0, "unseen": 0.0}, {**leak, "value": "probability", "after": 0.76, "unseen": 0.1}]
    bound = statement["predicate"]["bounds"][0]
    bounds = [bound, {**bound, "attack": "asked"}]
    page = certificate_page({**statement, "predicate": {**statement["predicate"], "results": rows, "bounds": bounds}})
    assert "<bdi>told, probability of the right answer</bdi>" in page and "<bdi>told, right answers" not in page
    assert '<td class="n" data-name="never given">10</td>' in page and 'data-name="comparison"' not in page
    assert page.count("told, asked") == 1  # attacks with the same bounds share a line
    part = {**statement["predicate"], "facts": 5}
    page = certificate_page({**statement, "predicate": part})
    assert "5 of the 12 facts, drawn at random from those that can be asked for, about" in page
    assert "12 facts about" in certificate_page(statement)


def test_unseen_facts_that_are_met_with_silence_are_no_damage_where_what_should_stay_is_answered() -> None:
    def measured(split: str, value: float) -> Measure:
        return Measure(name="empty", split=split, value=value, count=20, direction="down", meaning="")

    def health(**splits: tuple[float, float]) -> Audit:
        points = {
            point: Attacked(model="", records="", measures=tuple(measured(s, v[place]) for s, v in splits.items()))
            for place, point in enumerate(("before", "after"))
        }
        return Audit(attack="health", asked="", points=points)

    (gate,) = _health(health(forget=(0.0, 1.0), retain=(0.0, 0.0), holdout=(0.0, 0.4)))
    assert (gate.state, gate.after) == ("passed", 0.0)
    (alone,) = _health(health(forget=(0.0, 1.0), holdout=(0.0, 0.4)))
    assert (alone.state, alone.after) == ("failed", 0.4)


def test_the_run_folder_names_its_files(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    names = [p.name for p in (run.certificate_file, run.certificate_page, run.register_file)]
    assert names == ["certificate.json", "certificate.html", "register.json"]


def test_the_report_and_the_card_say_what_an_audit_found_first_favourable_or_not(
    world: Path, tmp_path: Path, told: Register
) -> None:
    run = audited(world, tmp_path / "runs", "run", told, 12, 9, 0)
    assert 'id="audit"' not in render([Results.load(run)])
    done = certificate_of(run)
    page = render([Results.load(run)])
    assert page.index('id="audit"') < page.index('id="verdict"') and "REFUTED at 0.1" in page
    card = (
        prepare(run, "someone/model", tmp_path / "card", Publication(despite_failure=True)) / "README.md"
    ).read_text()
    assert f"{done.statement['predicate']['line']}**" in card
    assert card.index("REFUTED at 0.1") < card.index("## How") and "| told | leak | 1.00 | 0.00 | 0.75 |" in card
    (run / "certificate.json").write_text("{}")
    with pytest.raises(RunError, match="is no certificate of this version"):
        render([Results.load(run)])
