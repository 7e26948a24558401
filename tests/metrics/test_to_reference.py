"""Distances to a stage's reference: means over tokens, by hand, and the limits that name them."""

import pytest

from forgetting.metrics.goal import Until
from forgetting.metrics.to_reference import Beside, is_distance, splits_of, to_reference


def test_they_are_means_over_the_tokens_of_all_examples():
    kl, excess = to_reference("retain", [Beside("a", 1, 0.5, 0.1), Beside("b", 3, 0.3, -0.9)])
    assert (kl.key, excess.key) == ("retain/kl_from_reference", "retain/excess_loss")
    assert kl.value == pytest.approx(0.8 / 4) and excess.value == pytest.approx(-0.8 / 4)
    assert (kl.count, kl.direction) == (2, "down")
    assert kl.low is not None and kl.low <= kl.value <= kl.high


def test_examples_of_one_fact_are_one_cluster():
    one = to_reference("retain", [Beside("a", 2, 0.5, 0.1), Beside("a", 2, 0.1, 0.1)])[0]
    assert one.value == pytest.approx(0.15) and one.low is None


def test_a_split_without_examples_has_no_value():
    kl, excess = to_reference("retain", [])
    assert kl.value is None and excess.value is None
    assert kl.reason == "no examples of split 'retain'"


def test_the_limits_say_which_splits_are_compared():
    until = Until.parse("retain/excess_loss <= 0.05 and forget/probability <= 0.1 and text/kl_from_reference <= 1")
    assert splits_of(until.limits) == ("retain", "text")
    assert [is_distance(limit.key) for limit in until.limits] == [True, False, True]
