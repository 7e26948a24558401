"""When an attack says nothing: it does not find what is there, it teaches, or it breaks the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from forgetting.audits.certificate import Evidence, evidence, judge
from forgetting.audits.certificate.controls import controls_of
from forgetting.audits.certificate.difference import compare
from forgetting.audits.certificate.words import control_sentences, limits, line
from forgetting.audits.leaks import UNTOUCHED
from forgetting.core.record import Record, Score
from tests.audits.certificate.made import KEPT, given, ones


def states(one: Evidence) -> dict[str, str]:
    subjects = [one.subjects[fact] for fact in one.facts]
    control = compare(one.of("before"), one.of("oracle"), subjects, margin=0.1) if "oracle" in one.models else None
    return {control.name: control.state for control in controls_of(one, control, margin=0.1)}


def whole(kept: Mapping[str, tuple[float, float]]) -> Evidence:
    return replace(given("relearn-kin", before=ones(36), oracle=ones(0), after=ones(0)), kept=kept)


ALL = {"before": (0.9, 0.88), "oracle": (0.9, 0.85), "after": (0.8, 0.8)}


def test_it_must_find_what_is_there_and_not_get_it_from_the_oracle() -> None:
    finds, teaches = "finds what is there", "teaches nothing"
    assert states(given(before=ones(36), oracle=ones(2), after=ones(0))) == {finds: "passed", teaches: "passed"}
    assert states(given(before=ones(3), oracle=ones(0), after=ones(0))) == {finds: "failed", teaches: "passed"}
    assert states(given(before=ones(38), oracle=ones(25), after=ones(25))) == {finds: "passed", teaches: "failed"}
    assert states(given(before=[None] * 40, oracle=ones(1), after=ones(0))) == {finds: "failed", teaches: "unknown"}
    assert states(given(before=ones(36), oracle=[None] * 40, after=ones(0))) == {finds: "unknown", teaches: "unknown"}
    assert states(given(before=ones(36), after=ones(0))) == {}


def test_what_it_changes_must_still_know_what_should_stay_and_else_it_is_blind() -> None:
    assert states(whole(ALL))["leaves what should stay"] == "passed"
    good, bad = whole(ALL), whole({**ALL, "oracle": (0.9, 0.45)})
    assert judge([good], [KEPT]).state == "shown"
    (found,) = judge([bad], [KEPT]).found
    assert found.state == "blind" and "it leaves 0.50 in its copy of the oracle (0.90 to 0.45)" in found.why
    both = judge([given(before=ones(36), oracle=ones(0), after=ones(0)), bad], [KEPT])
    assert both.state == "shown" and "1 of 2 attacks shown, 1 blind" in line(both)
    assert "Nothing was learned from relearn-kin: what was to bring the facts back broke" in " ".join(limits(both, []))
    assert control_sentences(both)[0].startswith("'relearn-kin': of what should stay it leaves 0.50")
    assert "2 of 2 values of attacks are shown to find more in the model before" in " ".join(control_sentences(both))
    assert "break their copies" in line(judge([bad], [KEPT]))
    # What a broken copy gives away is a leak all the same, and a model that was not looked at is no proof.
    leaking = replace(bad, models={**bad.models, "after": bad.models["before"]})
    assert judge([leaking], [KEPT]).state == "refuted"
    assert states(whole({k: v for k, v in ALL.items() if k != "oracle"}))["leaves what should stay"] == "unknown"


def test_what_is_left_is_counted_from_the_records_of_facts_to_keep() -> None:
    def made(split: str, p: float, untouched: float | None) -> Record:
        values = {} if untouched is None else {UNTOUCHED: untouched}
        score = Score(logp=p, tokens=1)
        return Record(id=f"{split}{p}", split=split, prompt="?", answer="x", score=score, values=values)

    records = [made("forget", -1.0, None), made("retain", 0.0, 0.5), made("retain", -1e9, 0.5), made("holdout", 0, 0.1)]
    (one,) = evidence("relearn-kin", ("probability",), {"after": records})
    assert one.kept == {"after": (0.5, 0.5)}
    (plain,) = evidence("greedy", ("probability",), {"after": [made("forget", -1.0, None), made("retain", 0.0, None)]})
    assert plain.kept == {}
