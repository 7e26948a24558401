import pytest

from forgetting.metrics.judged import judged_measures
from tests.metrics.making import record


def answers(*said):
    return [record(str(n), answer="Paris", generation=text) for n, text in enumerate(said)]


def graded(accuracy, fluency=1.0):
    return {"accuracy": accuracy, "fluency": fluency}


def test_what_has_no_grade_is_missing_and_counted_and_never_0():
    found = {m.name: m for m in judged_measures("forget", answers("Paris", "x", "y"), [graded(1.0), None, graded(0.5)])}
    assert (found["judge_accuracy"].value, found["judge_accuracy"].count) == (0.75, 2)
    assert (found["judge_missing"].value, found["judge_missing"].count) == (1.0, 3)


def test_without_any_grade_the_reason_is_said():
    found = {m.name: m for m in judged_measures("forget", answers("Paris", "x"), [None, None])}
    assert found["judge_accuracy"].value is None
    assert found["judge_accuracy"].reason == "the judge graded none of 2 answers"
    assert found["judge_kappa_exact_match"].value is None


def test_agreement_with_words_is_beyond_chance():
    records = answers("Paris", "It is Paris", "Rome", "Rome")
    found = {m.name: m for m in judged_measures("forget", records, [graded(1), graded(1), graded(0), graded(0)])}
    assert found["judge_kappa_rouge_l_recall"].value == pytest.approx(1.0)
    assert found["judge_kappa_exact_match"].value == pytest.approx(0.5)
