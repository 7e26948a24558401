import math

import pytest

from forgetting.core.record import Score
from forgetting.metrics.per_example import mean
from forgetting.metrics.truth_ratio import log_truth_ratio, truth_ratio_forget, truth_ratio_utility
from tests.metrics.making import likely, record

READINGS = ("mean_loss", "mean_probability")


def test_the_two_readings_by_hand():
    asked = record("a", right=0.5, wrong=[0.4, 0.1], tokens=3)
    # mean_loss: the geometric mean sqrt(0.4 * 0.1) = 0.2, over 0.5; mean_probability: (0.4 + 0.1) / 2 = 0.25, over 0.5
    assert math.exp(log_truth_ratio(asked, "mean_loss")) == pytest.approx(0.4)
    assert math.exp(log_truth_ratio(asked, "mean_probability")) == pytest.approx(0.5)
    assert log_truth_ratio(asked) == log_truth_ratio(asked, "mean_loss")


def test_losses_are_per_token():
    # exp(-6/3) over exp(-2/2): log R = -2 + 1
    asked = record("a", paraphrase=Score(-2.0, 2), perturbed=(Score(-6.0, 3),))
    assert log_truth_ratio(asked, "mean_loss") == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("right", "wrong", "forget", "utility"),
    [
        (0.5, 0.2, 0.4, 0.6),  # R = 0.4: min(R, 1/R) = 0.4, max(0, 1 - R) = 0.6
        (0.2, 0.5, 0.4, 0.0),  # R = 2.5: min(R, 1/R) = 0.4, 1 - R is negative
        (0.3, 0.3, 1.0, 0.0),  # R = 1: right and wrong look alike
    ],
)
def test_forget_and_utility_columns_by_hand(right, wrong, forget, utility):
    asked = record("a", right=right, wrong=[wrong])
    for reading in READINGS:
        assert truth_ratio_forget(reading).value_of(asked) == pytest.approx(forget)
        assert truth_ratio_utility(reading).value_of(asked) == pytest.approx(utility, abs=1e-12)


@pytest.mark.parametrize("reading", READINGS)
def test_ratios_beyond_any_float_are_still_scored(reading):
    lost = record("a", paraphrase=Score(-5000.0, 1), perturbed=(Score(-1.0, 1), Score(-2.0, 1)))
    sure = record("b", paraphrase=Score(-1.0, 1), perturbed=(Score(-5000.0, 1), Score(-6000.0, 1)))
    assert truth_ratio_forget(reading).value_of(lost) == 0.0
    assert truth_ratio_utility(reading).value_of(lost) == 0.0
    assert truth_ratio_forget(reading).value_of(sure) == 0.0
    assert truth_ratio_utility(reading).value_of(sure) == 1.0


def test_without_a_paraphrase_the_answer_itself_is_judged():
    assert math.exp(log_truth_ratio(record("a", p=0.5, wrong=[0.1]))) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "asked",
    [
        record("a", p=0.5, right=0.5),
        record("a", wrong=[0.1]),
        record("a", right=0.5, perturbed=(likely(0.1), Score(math.nan, 2))),
        record("a", right=0.5, perturbed=(Score(0.0, 0),)),
    ],
    ids=["no wrong answers", "no right answer", "a wrong answer without a number", "a wrong answer without tokens"],
)
@pytest.mark.parametrize("column", [truth_ratio_forget, truth_ratio_utility])
def test_what_cannot_be_scored_is_missing(asked, column):
    assert column().value_of(asked) is None
    [found] = mean(column(), ["forget"], "up")({"forget": [asked]}, None)
    assert (found.value, found.count) == (None, 0)
    assert "has scores of its (paraphrased) answer and of all its wrong answers" in found.reason


def test_the_variant_reading_carries_its_name():
    names = [column(reading).name for column in (truth_ratio_forget, truth_ratio_utility) for reading in READINGS]
    assert names == [
        "truth_ratio_forget",
        "truth_ratio_forget_mean_probability",
        "truth_ratio_utility",
        "truth_ratio_utility_mean_probability",
    ]
