"""Mean changes: what their intervals are, against plain loops, and what few or equal changes show."""

import itertools
import math

import numpy as np
import pytest

from forgetting.core.errors import DataError
from forgetting.metrics import changes
from forgetting.metrics.changes import change_intervals, difference, mean_change
from forgetting.metrics.likelihood import probability
from forgetting.metrics.statistics import RESAMPLES, by_cluster, seed_of
from forgetting.metrics.text import exact_match
from tests.metrics.making import record
from tests.metrics.percentiles import percentiles


def by_hand(sums: list[float], weights: list[float], key: str) -> tuple[float, float]:
    """The hull of the studentised bootstrap and of the means that no exchange of signs refutes, in plain loops."""
    rng, count = np.random.default_rng(seed_of(key)), len(sums)
    mean = sum(sums) / sum(weights)

    def error(of: list[int], about: float) -> float:
        return math.sqrt(sum((sums[c] - about * weights[c]) ** 2 for c in of)) / sum(weights[c] for c in of)

    spread, ts = error(list(range(count)), mean), []
    for drawn in rng.integers(0, count, size=(RESAMPLES, count)).tolist():
        again = sum(sums[c] for c in drawn) / sum(weights[c] for c in drawn)
        ts.append((again - mean) / max(error(drawn, again), spread / 2))
    low, high = np.percentile(ts, percentiles(count))

    def refuted(value: float, side: int) -> bool:
        """Whether at most 2.5% of all exchanges of signs move the rest as far to this side."""
        rest = [side * (s - value * w) for s, w in zip(sums, weights, strict=True)]
        far = [sum(map(math.prod, zip(rest, signs, strict=True))) for signs in itertools.product((1, -1), repeat=count)]
        return sum(f >= sum(rest) - 1e-9 for f in far) <= 0.025 * len(far)

    grid = np.linspace(min(sums) - 1, max(sums) + 1, 801)
    left = [v for v in grid if not refuted(v, 1) and not refuted(v, -1)]
    return min(mean - high * spread, left[0]), max(mean - low * spread, left[-1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_interval_is_that_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 4, 8).astype(float)
    sums = weights * rng.standard_exponential(8) + 0.2
    found = change_intervals(sums[None], weights[None], key="k")[0]
    assert found == pytest.approx(by_hand(sums.tolist(), weights.tolist(), "k"), abs=(np.ptp(sums) + 2) / 800)


def test_several_changes_share_draws_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sums_KC = np.random.default_rng(0).standard_normal((3, 20)) + np.array([[0.0], [1.0], [-3.0]])
    weights_KC = np.ones((3, 20))
    whole = change_intervals(sums_KC, weights_KC, key="k")
    for sums_C, ends in zip(sums_KC, whole, strict=True):
        assert change_intervals(sums_C[None], np.ones((1, 20)), key="k")[0] == pytest.approx(ends, rel=1e-9)
    monkeypatch.setattr(changes, "_GATHERED", 20 * 150)
    assert change_intervals(sums_KC, weights_KC, key="k") == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_end_that_is_0_but_for_rounding_is_0(side: float) -> None:
    """0.1 + 0.2 - 0.3 is 6e-17 on one machine and 0 on another; neither shows a change."""
    values = [side * value for value in (0.3, 0.6, -0.2, 0.6, 0.7, 0.4, 0.4, 0.4)]
    found = [mean_change(values, list("abcdefgh"), key=f"{key}") for key in range(30)]
    ends = [one.low if side > 0 else one.high for one in found]
    assert 0.0 in ends and all(end == 0 or (end is not None and abs(end) > 1e-9) for end in ends)


def test_of_fewer_than_six_source_examples_nothing_is_shown() -> None:
    for count, shown in ((5, False), (6, True)):
        found = mean_change([1.0 + 0.01 * n for n in range(count)], [str(n) for n in range(count)], key="k")
        assert (found.low is not None and found.low > 0) == shown


def test_where_nearly_all_fell_alike_a_fall_is_shown_although_few_differ() -> None:
    falls = [-0.7 - 0.01 * (n % 3) if n > 2 else 0.0 for n in range(20)]
    found = mean_change(falls, [f"{n:02}" for n in range(20)], key="k")
    assert found.high is not None and found.high < -0.3


def test_the_interval_is_never_narrower_than_the_changes_that_are_left_by_an_exchange_of_signs() -> None:
    values = [5.0, 0.1, 0.2, 0.15, 0.1, 0.2, 0.1]  # one is far out: all rose, three subsets of 127 have a mean below
    found = mean_change(values, list("abcdefg"), key="k")
    sums_C, weights_C = by_cluster(values, list("abcdefg"))
    assert (found.low, found.high) == tuple(change_intervals(sums_C[None], weights_C[None], key="k")[0])
    assert found.low is not None and found.low <= 0.1 and found.high is not None and found.high >= 2.6


def outcomes(right: int, of: int) -> list:
    return [record(f"q{i}", answer="yes", generation="yes" if i < right else "no", p=0.5) for i in range(of)]


def test_a_difference_is_paired_by_id():
    before = [record(str(n), p=0.1 + 0.08 * n) for n in range(10)]
    # 0.05 less on even ids, 0.07 less on odd ones: mean -0.06, although the values themselves spread over 0.7
    after = [record(str(n), p=0.1 + 0.08 * n - (0.05 if n % 2 == 0 else 0.07)) for n in reversed(range(10))]
    found = difference(after, before, probability.value_of, key="k")
    assert (found.value, found.count) == (pytest.approx(-0.06), 10)
    assert -0.08 <= found.low < -0.06 < found.high <= -0.04


def test_a_difference_is_clustered_by_fact():
    change = [0.3, 0.1, 0.2, 0.05, 0.25, 0.15]
    before = [record(f"{fact}.{form}", p=0.1, group=str(fact)) for fact in range(6) for form in range(8)]
    after = [record(f"{fact}.{form}", p=0.1 + change[fact], group=str(fact)) for fact in range(6) for form in range(8)]
    found = difference(after, before, probability.value_of, key="k")
    once = mean_change(change, list("012345"), key="k")
    assert (found.low, found.high) == pytest.approx((once.low, once.high), rel=1e-9)


def test_outcomes_that_all_changed_are_told_apart_from_none():
    found = difference(outcomes(0, 78), outcomes(78, 78), exact_match.value_of, key="k")
    assert found.value == -1
    assert (found.low, found.high) == pytest.approx((-1.0, -0.9336), abs=1e-4)


def test_no_change_of_any_outcome_does_not_claim_certainty():
    found = difference(outcomes(78, 78), outcomes(78, 78), exact_match.value_of, key="k")
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -0.0462, 0.0462), abs=1e-4)  # 1 - 0.025^(1/78)


@pytest.mark.parametrize(("lost", "told_apart"), [(4, False), (5, False), (6, True)])
def test_few_changes_show_nothing(lost: int, told_apart: bool):
    found = difference(outcomes(300 - lost, 300), outcomes(300, 300), exact_match.value_of, key="k")
    assert found.high is not None
    assert (found.high < 0) == told_apart


def test_five_facts_cannot_show_a_change_and_six_can():
    for facts, told_apart in ((5, False), (6, True)):
        before = [record(f"{i}", p=0.9 - 0.01 * i) for i in range(facts)]
        after = [record(f"{i}", p=0.1 + 0.01 * i) for i in range(facts)]
        found = difference(after, before, probability.value_of, key="k", unit=True)
        assert found.high is not None
        assert (found.high < 0) == told_apart


def test_few_changes_reach_as_far_as_they_can_and_hold_the_value_and_0():
    found = difference(outcomes(7, 12), outcomes(12, 12), exact_match.value_of, key="k")
    assert found.value == pytest.approx(-5 / 12)
    # five of twelve fell: at most 0.7233 do (Clopper and Pearson); none rose: at most 1 - 0.025^(1/12) do
    assert (found.low, found.high) == pytest.approx((-0.7233, 0.2646), abs=1e-4)


def test_few_changes_without_bounds_have_no_interval_and_say_why():
    before, after = ([record(str(i), p=0.5 - (0.1 * i if i < lost else 0)) for i in range(12)] for lost in (0, 4))
    found = difference(after, before, probability.value_of, key="k")
    assert (found.low, found.high) == (None, None)
    assert found.reason == "too few changed examples to tell (3 of 12)"  # the first of the four changed by 0


def test_a_difference_rests_on_what_both_sides_scored():
    before = [record("a", p=0.5), record("b", p=0.5), record("c")]
    after = [record("a", p=0.25), record("c", p=0.5), record("d", p=0.5)]
    found = difference(after, before, probability.value_of, key="k")
    assert (found.value, found.count, found.low) == (pytest.approx(-0.25), 1, None)
    none = difference([record("a")], before, probability.value_of, key="k")
    assert (none.value, none.count, none.reason) == (None, 0, "no record was scored on both sides")


def test_a_difference_refuses_an_id_that_occurs_twice():
    twice = [record("a", p=0.5), record("a", p=0.6)]
    with pytest.raises(DataError, match="the records after: id 'a' occurs twice in split 'forget'"):
        difference(twice, [record("a", p=0.5)], probability.value_of, key="k")


def test_changes_of_zero_or_one_are_no_shares():
    values = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    clusters = list("abcdef")
    found = mean_change(values, clusters, key="k")
    assert found.value == 0.5
    assert found.low + found.high == pytest.approx(1.0) and found.low < 0.0  # three changes of six show none
    still = mean_change([0.0] * 6, clusters, key="k")
    assert (still.value, still.low, still.high) == (0.0, None, None)
    assert mean_change([None, math.nan], ["a", "b"], key="k").value is None
