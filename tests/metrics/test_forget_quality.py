import math

import numpy as np
import pytest

from forgetting.core.errors import DataError
from forgetting.metrics.forget_quality import forget_quality
from forgetting.metrics.truth_ratio import log_truth_ratio
from tests.metrics.making import record


def asked(ratios, split="forget"):
    """Records with p(right) = 0.1 and one wrong answer, so that R is as given."""
    return [record(str(n), split, right=0.1, wrong=[0.1 * ratio]) for n, ratio in enumerate(ratios)]


def plain_distance(one, two):
    """The largest gap between the shares of values up to x, over all x that occur."""
    return max(abs(np.mean([a <= x for a in one]) - np.mean([b <= x for b in two])) for x in [*one, *two])


def test_the_distance_and_the_p_value_by_hand():
    # all four ratios of the model lie below all four of the oracle: distance 1. Of C(8, 4) = 70 equally likely orders,
    # two have distance 1 (all of one side first), so p = 2/70.
    p_value, distance = forget_quality(["forget"])(
        {"forget": asked([0.1, 0.2, 0.3, 0.4])}, {"forget": asked([0.6, 0.7, 0.8, 0.9])}
    )
    assert (p_value.key, p_value.value, p_value.count) == ("forget/forget_quality", pytest.approx(2 / 70), 4)
    assert (distance.key, distance.value) == ("forget/forget_quality_distance", pytest.approx(1.0))
    assert (p_value.direction, distance.direction) == ("up", "down")


@pytest.mark.parametrize("reading", ["mean_loss", "mean_probability"])
def test_the_distance_is_that_of_a_plain_loop(reading):
    rng = np.random.default_rng(0)
    ours, theirs = (
        [record(str(n), right=rng.random(), wrong=rng.random(3).tolist()) for n in range(23)] for _ in range(2)
    )
    _, distance = forget_quality(["forget"], reading)({"forget": ours}, {"forget": theirs})
    expected = plain_distance(*([math.exp(log_truth_ratio(r, reading)) for r in side] for side in (ours, theirs)))
    assert distance.value == pytest.approx(expected, abs=1e-12)
    assert distance.name.endswith("_mean_probability") == (reading == "mean_probability")


def test_the_oracle_itself_cannot_be_told_apart():
    records = {"forget": asked([0.2, 0.5, 1.5])}
    p_value, distance = forget_quality(["forget"])(records, records)
    assert (p_value.value, distance.value) == (1.0, 0.0)


def test_the_meaning_warns_of_reading_a_high_p_alone():
    p_value, _ = forget_quality(["forget"])({}, None)
    assert "p-value" in p_value.meaning
    assert "A high p alone is no success" in p_value.meaning


def test_without_an_oracle_it_is_absent_and_says_what_to_pass():
    for found in forget_quality(["forget"])({"forget": asked([0.5, 0.6])}, None):
        assert (found.value, found.count) == (None, 0)
        assert found.reason == "forget quality needs an oracle: a model that never saw the forget set; pass oracle=…"


def test_other_missing_input_is_absent_with_its_reason():
    records = {"forget": asked([0.5, 0.6])}
    for found in forget_quality(["forget"])({}, records):
        assert (found.value, found.reason) == (None, "no records of split 'forget'")
    for found in forget_quality(["forget"])(records, {"retain": asked([1.0], "retain")}):
        assert (found.value, "the oracle has no records of split 'forget'" in found.reason) == (None, True)
    plain = {"forget": [record("0", p=0.5), record("1", p=0.5)]}
    for found in forget_quality(["forget"])(plain, plain):
        assert (found.value, found.count) == (None, 0)
        assert found.reason.startswith("no question of split 'forget' has scores of its (paraphrased) answer")


def test_only_questions_that_both_scored_are_compared():
    ours, theirs = asked([0.1, 0.2, 0.3]), [*asked([0.6, 0.7]), record("2", right=0.1)]
    p_value, distance = forget_quality(["forget"])({"forget": ours}, {"forget": theirs})
    assert (p_value.count, distance.count) == (2, 2)


def test_an_oracle_of_other_questions_is_refused_by_id_and_counts():
    three, two = {"forget": asked([0.1, 0.2, 0.3])}, {"forget": asked([0.1, 0.2])}
    with pytest.raises(
        DataError, match=r"id '2' is only among the model's records \(3 of the model, 2 of the oracle, 2 s"
    ):
        forget_quality(["forget"])(three, two)
    with pytest.raises(DataError, match=r"id '2' is only among the oracle's records \(2 of the model, 3 of the oracle"):
        forget_quality(["forget"])(two, three)


def test_the_same_id_with_another_question_is_refused():
    other = [record("0", right=0.1, wrong=[0.1], prompt="Who?")]
    with pytest.raises(DataError, match=r"id '0' is another question in the oracle's records \(1 records each\)"):
        forget_quality(["forget"])({"forget": asked([0.5])}, {"forget": other})


def test_an_id_that_occurs_twice_is_refused():
    twice = asked([0.5]) + asked([0.6])
    with pytest.raises(DataError, match="the oracle's records: id '0' occurs twice"):
        forget_quality(["forget"])({"forget": asked([0.5])}, {"forget": twice})
