import math

import numpy as np
import pytest

from forgetting.core.record import Score
from forgetting.metrics.likelihood import (
    loss,
    memorization_accuracy,
    option_probability,
    perplexity,
    probability,
    teacher_forced_exact_match,
)
from forgetting.metrics.per_example import mean
from tests.metrics.making import likely, record

PER_EXAMPLE = [probability, option_probability, memorization_accuracy, teacher_forced_exact_match]


def test_probability_is_normalised_by_length():
    # 3 tokens of log p -0.2, -0.4, -0.6: exp(-1.2 / 3)
    assert probability.value_of(record("a", score=Score(logp=-1.2, tokens=3))) == pytest.approx(math.exp(-0.4))


def test_option_probability_is_the_share_of_the_right_answer():
    # 0.3 / (0.3 + 0.2 + 0.1)
    found = option_probability.value_of(record("a", p=0.3, wrong=[0.2, 0.1], tokens=4))
    assert found == pytest.approx(0.5)


def test_option_probability_survives_answers_too_unlikely_for_a_float():
    unlikely = record("a", score=Score(-2000.0, 1), perturbed=(Score(-2000.0 - math.log(3), 1),))
    assert option_probability.value_of(unlikely) == pytest.approx(0.75)  # 1 / (1 + 1/3)


def test_option_probability_needs_every_option():
    assert option_probability.value_of(record("a", p=0.3)) is None
    assert option_probability.value_of(record("a", wrong=[0.3])) is None
    broken = record("a", p=0.3, perturbed=(likely(0.2), Score(math.nan, 1)))
    assert option_probability.value_of(broken) is None
    impossible = record("a", score=Score(-math.inf, 1), perturbed=(Score(-math.inf, 1),))
    assert option_probability.value_of(impossible) is None


def test_memorization_accuracy_is_the_share_of_greedy_tokens():
    assert memorization_accuracy.value_of(record("a", score=likely(0.5, 4, ranks=[0, 3, 0, 0]))) == 0.75


def test_teacher_forced_exact_match_asks_for_all_tokens():
    assert teacher_forced_exact_match.value_of(record("a", score=likely(0.5, 3, ranks=[0, 0, 0]))) == 1.0
    assert teacher_forced_exact_match.value_of(record("a", score=likely(0.5, 3, ranks=[0, 1, 0]))) == 0.0


@pytest.mark.parametrize("what", PER_EXAMPLE, ids=lambda what: what.name)
@pytest.mark.parametrize("score", [None, Score(0.0, 0), Score(math.nan, 2)], ids=["no score", "no tokens", "NaN"])
def test_a_record_without_a_usable_score_is_missing(what, score):
    empty = record("a", score=score, wrong=[0.2])
    assert what.value_of(empty) is None
    [found] = mean(what, ["forget"], "up")({"forget": [empty]}, None)
    assert (found.value, found.count) == (None, 0)
    assert found.reason == f"none of the 1 records of split 'forget' has {what.needs}"


def test_ranks_that_were_not_kept_are_missing():
    assert memorization_accuracy.value_of(record("a", p=0.5)) is None
    assert teacher_forced_exact_match.value_of(record("a", p=0.5)) is None


def test_loss_weighs_by_tokens():
    records = [record("a", score=Score(-2.0, 1)), record("b", score=Score(-3.0, 9)), record("c")]
    [found] = loss(["forget"], "up")({"forget": records}, None)
    assert (found.key, found.value, found.count) == ("forget/loss", pytest.approx(0.5), 2)  # (2 + 3) / (1 + 9)
    assert found.low == pytest.approx(3 / 9)  # only b drawn
    assert found.high == pytest.approx(2.0)  # only a drawn


def test_perplexity_is_exp_of_loss_interval_included():
    rng = np.random.default_rng(0)
    records = {"retain": [record(str(n), "retain", p=rng.uniform(0.1, 0.9), tokens=1 + n % 5) for n in range(30)]}
    [of_loss], [found] = loss(["retain"], "down")(records, None), perplexity(["retain"], "down")(records, None)
    assert found.name == "perplexity"
    for name in ("value", "low", "high"):
        assert getattr(found, name) == pytest.approx(math.exp(getattr(of_loss, name)))


def test_a_perplexity_beyond_any_float_is_absent_and_names_the_loss():
    [found] = perplexity(["forget"], "up")({"forget": [record("a", score=Score(-2400.0, 2))]}, None)
    assert found.value is None
    assert "1200 nats per token" in found.reason


def test_an_impossible_answer_leaves_no_mean_loss():
    records = {"forget": [record("a", score=Score(-math.inf, 2)), record("b", p=0.5)]}
    for metric in (loss, perplexity):
        [found] = metric(["forget"], "up")(records, None)
        assert (found.value, found.count) == (None, 2)
        assert "1 of 2 values are infinite" in found.reason


def test_loss_and_perplexity_of_nothing_are_absent():
    for metric in (loss, perplexity):
        for records in ({}, {"forget": [record("a")]}):
            [found] = metric(["forget"], "up")(records, None)
            assert (found.value, found.count) == (None, 0)
            assert "forget" in found.reason
