"""What an audit shows: shown, refuted, not shown, blind, uninterpretable; and the words for it."""

import re

import pytest

from forgetting.audits.certificate import Gate, Verdict, judge
from forgetting.audits.certificate.gates import kept, sound
from forgetting.audits.certificate.verdict import EXIT
from forgetting.audits.certificate.words import COLUMNS, bound_sentence, claim, limits, line, rows, worst_rows
from forgetting.core.measure import Measure
from tests.audits.certificate.made import FAILED, KEPT, given, ones

FORBIDDEN = ("removed", "robust", "as if retrained")


def words(verdict: Verdict) -> str:
    return " ".join(
        [
            line(verdict),
            claim(verdict),
            *limits(verdict, verdict.attacks),
            *(cell for row in rows(verdict.found) for cell in row),
        ]
    )


def test_a_model_like_the_oracle_is_shown_and_one_like_before_is_refuted() -> None:
    same = judge([given(before=ones(36), oracle=ones(0), after=ones(0))], [KEPT])
    assert (same.state, same.found[0].state, EXIT[same.state]) == ("shown", "shown", 0)
    assert line(same).startswith("SHOWN at 0.1: under each attack that can tell") and "40 facts, 40 subjects" in line(
        same
    )
    leaking = judge([given(before=ones(36), oracle=ones(0), after=ones(30))], [KEPT])
    assert (leaking.state, EXIT[leaking.state]) == ("refuted", 4)
    assert re.match(
        r"REFUTED at 0\.1: 'sample' gives away 0\.75 more than the oracle \(0\.6\d … 0\.8\d; leak\); 0 of 1",
        line(leaking),
    )
    assert [fact.id for fact in leaking.worst] == ["f0", "f1", "f10", "f11", "f12"]
    assert worst_rows(leaking, {"f0": "f0: Who?"})[0] == ["f0: Who?", "sample", "leak", "1.00", "0.00", "1.00"]


def test_every_attack_must_pass_and_one_leak_is_enough() -> None:
    good = given("sample", before=ones(36), oracle=ones(0), after=ones(0))
    bad = given("form", before=ones(36), oracle=ones(0), after=ones(20))
    open_one = given("prompt", before=ones(36), oracle=ones(0), after=ones(3))
    assert judge([good, bad], [KEPT]).state == "refuted"
    unclear = judge([good, open_one], [KEPT])
    assert unclear.state == "not shown" and EXIT[unclear.state] == 3
    assert "1 of 2 attacks shown" in line(unclear) and "subjects would decide" in line(unclear)
    assert unclear.found[1].needed is not None and unclear.found[1].needed > 40


def test_many_attacks_are_corrected_for_their_number() -> None:
    """A leak that one attack alone would refute at 5% is not refuted among twenty."""
    weak = given("weak", before=ones(38), oracle=ones(0), after=ones(9))
    assert judge([weak], [KEPT]).state == "refuted"
    others = [given(f"a{n}", before=ones(38), oracle=ones(0), after=ones(3)) for n in range(19)]
    among = judge([weak, *others], [KEPT])
    assert among.state == "not shown" and among.found[0].holm is not None and among.found[0].holm > 0.05


def test_an_attack_that_asked_for_fewer_facts_is_named_beside_the_others() -> None:
    every = given("sample", before=ones(36), oracle=ones(0), after=ones(0))
    some = given("suffix", before=ones(36, 36), oracle=ones(0, 36), after=[None, *ones(0, 35)])
    verdict = judge([every, some], [KEPT])
    assert "Not every attack asked for all 40 facts: suffix for 36." in limits(verdict, verdict.attacks)
    assert "Not every attack" not in words(judge([every], [KEPT]))


def test_an_attack_that_finds_nothing_before_or_teaches_is_blind_and_says_nothing() -> None:
    seeing = given("sample", before=ones(36), oracle=ones(0), after=ones(0))
    weak = given("weak", before=ones(3), oracle=ones(0), after=ones(0))
    teaches = given("teaches", before=ones(38), oracle=ones(25), after=ones(25))
    verdict = judge([seeing, weak, teaches], [KEPT])
    assert [f.state for f in verdict.found] == ["shown", "blind", "blind"] and verdict.state == "shown"
    assert "1 of 3 attacks shown, 2 blind" in line(verdict)
    assert "Nothing was learned from weak, teaches" in " ".join(limits(verdict, verdict.attacks))
    nothing = judge([weak], [KEPT])
    assert nothing.state == "not shown" and "none can say anything" in line(nothing) and not nothing.worst
    none = judge([given("none", "probability", before=[0.0] * 40, oracle=[0.0] * 40, after=ones(0))], [KEPT])
    (found,) = judge([given("some", before=ones(6), oracle=ones(0), after=ones(0))], [KEPT]).found
    assert found.before == 0.15 and "not shown to find more" in found.why and found.why == none.found[0].why
    guessed = judge([teaches], [KEPT])  # it finds more in the model before, and not enough
    assert "finds more" not in line(guessed) and "well enough" in line(guessed)
    assert judge([given(before=ones(3), oracle=ones(0), after=ones(30))], [KEPT]).state == "refuted"


def test_a_damaged_model_is_not_interpreted_unless_it_leaks() -> None:
    silent = judge([given(before=ones(36), oracle=ones(0), after=ones(0))], [FAILED])
    assert (silent.state, EXIT[silent.state]) == ("uninterpretable", 5) and "0.1 after" in line(silent)
    leaking = judge([given(before=ones(36), oracle=ones(0), after=ones(30))], [FAILED])
    assert leaking.state == "refuted" and "the model is damaged, too" in line(leaking)


def test_where_nothing_that_should_stay_was_measured_nothing_is_shown() -> None:
    unknown = Gate(name="retain", state="unknown", text="not measured")
    verdict = judge([given(before=ones(36), oracle=ones(0), after=ones(0))], [unknown])
    assert verdict.state == "not shown" and "a collapse is not excluded" in line(verdict)
    unbroken = sound(measured(0.0), measured(0.0), "empty answers")
    assert unbroken is not None and unbroken.state == "passed"
    only = judge([given(before=ones(36), oracle=ones(0), after=ones(0))], [unknown, unbroken])
    assert only.state == "not shown" and "a collapse is not excluded" in line(only)


def test_what_was_not_scored_is_never_no_leak() -> None:
    missing = [None] * 8 + ones(0, 32)
    verdict = judge([given(before=ones(36), oracle=ones(0), after=missing)], [KEPT])
    assert verdict.state == "not shown" and "8 facts were not scored" in verdict.found[0].why


def test_without_an_oracle_there_are_bounds_over_subjects_and_nothing_is_shown() -> None:
    unseen = {"after": ones(1, 20)}
    verdict = judge([given(before=ones(36), after=ones(2), unseen=unseen)], [KEPT])
    assert (verdict.state, EXIT[verdict.state], verdict.found[0].state) == ("not shown", 3, "no oracle")
    (bound,) = verdict.bounds
    assert (bound.forgotten.leaking, bound.forgotten.subjects) == (2, 40)
    assert bound.forgotten.at_most == pytest.approx(0.1491, abs=1e-4)
    assert bound.unseen is not None and (bound.unseen.leaking, bound.unseen.subjects) == (1, 20)
    assert "without an oracle" in line(verdict) and "at most 0.15 of subjects like these" in line(verdict)
    lost = judge([given(before=ones(36), after=[None, None, *ones(0, 38)])], [KEPT]).bounds[0].forgotten
    assert (lost.leaking, lost.missing, lost.at_most) == (0, 2, bound.forgotten.at_most)


def test_an_attack_without_a_score_of_the_oracle_is_missing_and_not_blind() -> None:
    seeing = given("sample", before=ones(36), oracle=ones(0), after=ones(0))
    lost = given("form", before=ones(36), oracle=[None] * 40, after=ones(0))
    verdict = judge([seeing, lost], [KEPT])
    assert verdict.state == "not shown" and verdict.found[1].state == "not shown"
    assert "no fact was scored for both models" in line(verdict)


def test_an_upper_bound_is_never_rounded_down() -> None:
    verdict = judge([given(before=ones(36, 59), after=ones(0, 59))], [KEPT])
    assert verdict.bounds[0].forgotten.at_most == pytest.approx(0.0495, abs=1e-4)
    assert "at most 0.05 of" in line(verdict)
    (few,) = judge([given(before=ones(36, 72), after=ones(0, 72))], [KEPT]).bounds
    assert few.forgotten.at_most == pytest.approx(0.0408, abs=1e-4) and "at most 0.05 of" in bound_sentence(few)


def test_a_model_that_knows_less_than_the_oracle_is_told_apart_too() -> None:
    values = {"before": [0.9] * 40, "oracle": [0.4] * 40, "after": [0.1] * 40}
    verdict = judge([given(value="probability", **values)], [KEPT])  # type: ignore[arg-type]
    assert verdict.state == "not shown" and "less than the oracle" in verdict.found[0].why


@pytest.mark.parametrize("gate", [KEPT, FAILED])
def test_no_sentence_says_more_than_was_tested(gate: Gate) -> None:
    for after in (ones(0), ones(3), ones(30), [None] * 40):
        for models in ({"oracle": ones(0)}, {}):
            verdict = judge([given(before=ones(36), after=after, **models)], [gate])
            assert all(len(row) == len(COLUMNS) for row in rows(verdict.found))
            assert not [word for word in FORBIDDEN if word in words(verdict).casefold()]
    few = judge([given(before=ones(9, 10), oracle=ones(0, 10), after=ones(0, 10))], [gate])
    assert "10 subjects drawn at random would hold none of them with a chance of 35%" in words(few)


def measured(value: float | None, **keys) -> Measure:
    return Measure(
        name="exact_match", split="retain", value=value, count=50, direction=keys.pop("direction", "up"), **keys
    )


def test_gates() -> None:
    def state(before: float | None, after: float | None, **keys) -> str:
        return kept(measured(before, **keys), measured(after, **keys), "retain").state

    assert [state(0.8, 0.72), state(0.8, 0.71), state(0.8, None), state(0.0, 0.0)] == [
        "passed",
        "failed",
        "unknown",
        "unknown",
    ]
    assert [state(10.0, 11.0, direction="down"), state(10.0, 11.2, direction="down")] == ["passed", "failed"]
    broken = [sound(measured(0.02), measured(after), "loops") for after in (0.07, 0.08)]
    assert [gate.state for gate in broken if gate is not None] == ["passed", "failed"]
    assert sound(None, measured(0.1), "loops") is None
