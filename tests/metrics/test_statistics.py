import math

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from forgetting.metrics.proportions import wilson
from forgetting.metrics.statistics import (
    RESAMPLES,
    by_cluster,
    estimate_mean,
    percentile_interval,
    resampled_means,
    seed_of,
)
from tests.metrics.making import record
from tests.metrics.percentiles import percentiles


def plain_bootstrap(values, clusters, weights, key):
    """Draw clusters with replacement, pool their records, take the weighted mean: 2,000 times, in plain loops."""
    names = sorted(set(clusters))
    members = {name: [n for n, cluster in enumerate(clusters) if cluster == name] for name in names}
    rng = np.random.default_rng(seed_of(key))
    means = []
    for _ in range(RESAMPLES):
        drawn = [n for c in rng.integers(0, len(names), size=len(names)) for n in members[names[c]]]
        means.append(sum(weights[n] * values[n] for n in drawn) / sum(weights[n] for n in drawn))
    return tuple(np.percentile(means, percentiles(len(names))))


@pytest.fixture
def sample():
    rng = np.random.default_rng(1)
    values = rng.random(37).tolist()
    clusters = [f"fact{n}" for n in rng.integers(0, 11, size=37)]
    weights = rng.integers(1, 9, size=37).astype(float).tolist()
    return values, clusters, weights


@pytest.mark.parametrize("count", [3, 40, 1000])
def test_the_interval_of_a_single_mean_is_that_of_scipy(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    ours = estimate_mean(values.tolist(), [f"fact{n:04}" for n in range(count)], key="forget/loss")
    rng = np.random.default_rng(seed_of("forget/loss"))
    level = 1 - 2 * percentiles(count)[0] / 100
    theirs = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng, confidence_level=level
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_the_interval_is_that_of_a_plain_loop_over_resampled_clusters(sample):
    values, clusters, _ = sample
    found = estimate_mean(values, clusters, key="forget/probability")
    assert found.value == pytest.approx(np.mean(values), rel=1e-12)
    assert found.count == 37
    expected = plain_bootstrap(values, clusters, [1.0] * 37, "forget/probability")
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


def test_weights_enter_the_mean_and_the_interval(sample):
    values, clusters, weights = sample
    found = estimate_mean(values, clusters, key="k", weights=weights)
    assert found.value == pytest.approx(np.average(values, weights=weights), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(plain_bootstrap(values, clusters, weights, "k"), rel=1e-12)


def test_resampling_in_small_blocks_changes_nothing(sample, monkeypatch):
    values, clusters, _ = sample
    sums_C, weights_C = by_cluster(values, clusters)
    whole = resampled_means(sums_C[None], weights_C[None], key="k")
    monkeypatch.setattr("forgetting.metrics.statistics._GATHERED", 3 * len(sums_C))
    assert np.array_equal(resampled_means(sums_C[None], weights_C[None], key="k"), whole)


def test_the_order_of_records_does_not_matter_and_the_key_does(sample):
    values, clusters, _ = sample
    one = estimate_mean(values, clusters, key="a")
    turned = estimate_mean(values[::-1], clusters[::-1], key="a")
    other = estimate_mean(values, clusters, key="b")
    assert (turned.low, turned.high) == pytest.approx((one.low, one.high), rel=1e-12)
    assert (other.low, other.high) != (one.low, one.high)
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.03)


def test_the_global_generator_is_left_alone(sample):
    values, clusters, _ = sample
    state = np.random.get_state()[1].copy()
    estimate_mean(values, clusters, key="a")
    assert np.array_equal(np.random.get_state()[1], state)


def test_seeds_are_the_same_on_every_machine():
    # SHA-256("a") = ca978112ca1bbdca…, first 8 bytes read little-endian
    assert seed_of("a") == 0xCABD1BCA128197CA


def test_paraphrases_of_one_fact_do_not_narrow_the_interval():
    rng = np.random.default_rng(2)
    facts = rng.random(40).tolist()
    once = estimate_mean(facts, [str(n) for n in range(40)], key="k")
    five = estimate_mean([v for v in facts for _ in range(5)], [str(n) for n in range(40) for _ in range(5)], key="k")
    as_if_independent = estimate_mean([v for v in facts for _ in range(5)], [str(n) for n in range(200)], key="k")
    assert (five.low, five.high) == pytest.approx((once.low, once.high))
    assert as_if_independent.high - as_if_independent.low < 0.6 * (five.high - five.low)


def test_the_interval_holds_the_true_mean_about_95_times_in_100():
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(200):
        found = estimate_mean(rng.exponential(size=60).tolist(), [str(n) for n in range(60)], key=str(trial))
        held += found.low <= 1.0 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_what_is_missing_counts_for_nothing():
    found = estimate_mean([0.2, None, 0.4, math.nan], list("abcd"), key="k")
    assert (found.value, found.count) == (pytest.approx(0.3), 2)


def test_nothing_scored_gives_no_value_and_one_cluster_no_interval():
    nothing = estimate_mean([], [], key="k")
    assert (nothing.value, nothing.count, nothing.low) == (None, 0, None)
    assert estimate_mean([None, None], ["a", "b"], key="k").value is None
    one = estimate_mean([0.25], ["a"], key="k")
    assert (one.value, one.count, one.low, one.high) == (0.25, 1, None, None)
    assert estimate_mean([1.0], ["a"], key="k").low is None
    same_fact = estimate_mean([0.2, 0.4], ["a", "a"], key="k")
    assert (same_fact.value, same_fact.count, same_fact.low) == (pytest.approx(0.3), 2, None)


def test_values_that_do_not_differ_claim_no_certainty():
    found = estimate_mean([0.7] * 10, list("abcdefghij"), key="k")
    assert (found.value, found.low, found.high) == (pytest.approx(0.7), None, None)
    # every cluster has the mean 0.5, so every resample has it too
    assert estimate_mean([0.3, 0.7, 0.3, 0.7], ["a", "a", "b", "b"], key="k").low is None


def test_small_differences_are_differences():
    found = estimate_mean([0.7, 0.701, 0.702, 0.7005], list("abcd"), key="k")
    assert 0.7 <= found.low < found.value < found.high <= 0.702


def test_infinite_values_leave_no_mean_and_say_so():
    found = estimate_mean([1.0, math.inf, 2.0], list("abc"), key="k")
    assert (found.value, found.count, found.low) == (None, 3, None)
    assert found.reason.startswith("1 of 3 values are infinite")


@pytest.mark.parametrize("right", [0, 3, 20])
def test_a_proportion_has_wilsons_interval(right):
    n, z = 20, norm.ppf(0.975)
    found = estimate_mean([1.0] * right + [0.0] * (n - right), [str(i) for i in range(n)], key="k")
    # Wilson: (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    p = right / n
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((p + z**2 / (2 * n) + side * half) / (1 + z**2 / n) for side in (-1, 1))
    assert found.value == pytest.approx(p)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_outcomes_that_are_all_the_same_count_by_cluster():
    ten = estimate_mean([1.0] * 10, [str(n) for n in range(10)], key="k")
    ten_in_fifty = estimate_mean([1.0] * 50, [str(n % 10) for n in range(50)], key="k")
    assert (ten_in_fifty.low, ten_in_fifty.high) == (ten.low, ten.high)
    assert ten_in_fifty.count == 50


def test_mixed_outcomes_with_several_records_per_cluster_are_bootstrapped():
    values, clusters = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0], ["a", "a", "b", "b", "c", "c"]
    found = estimate_mean(values, clusters, key="k")
    assert (found.low, found.high) == pytest.approx(plain_bootstrap(values, clusters, [1.0] * 6, "k"))


def test_resamples_without_any_weight_are_left_out():
    means_BK = resampled_means(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]), key="k", resamples=50)
    assert np.isnan(means_BK).any()
    assert percentile_interval(means_BK[:, 0], len(means_BK)) == (1.0, 1.0)


def outcomes(right: int, of: int) -> list:
    return [record(f"q{i}", answer="yes", generation="yes" if i < right else "no", p=0.5) for i in range(of)]


def test_equal_values_between_0_and_1_have_an_interval_within_them():
    found = estimate_mean([0.5] * 78, [str(i) for i in range(78)], key="k", unit=True)
    assert (found.low, found.high) == pytest.approx((0.4765, 0.5235), abs=1e-4)
    assert estimate_mean([0.5] * 78, [str(i) for i in range(78)], key="k").low is None


def test_few_shares_above_nothing_have_wilsons_interval_on_the_questions():
    clusters = [str(i) for i in range(24)]
    found = estimate_mean([0.125, *[0.0] * 23], clusters, key="k", unit=True)
    assert (found.low, found.high) == pytest.approx(wilson(0.125 / 24, 24))
    assert (found.low, found.high) == pytest.approx((0.0003, 0.1476), abs=2e-3)
    nine, ten = ([0.5] * n + [0.0] * (78 - n) for n in (9, 10))
    of = [str(i) for i in range(78)]
    assert estimate_mean(nine, of, key="k", unit=True).high == pytest.approx(wilson(4.5 / 78, 78)[1])
    assert estimate_mean(ten, of, key="k", unit=True).high < wilson(5 / 78, 78)[1]
    spread_out = [0.3 + 0.01 * i for i in range(8)]  # few clusters, none of them at 0: no few rare shares
    assert estimate_mean(spread_out, of[:8], key="k", unit=True) == estimate_mean(spread_out, of[:8], key="k")


@pytest.mark.parametrize(("a", "b", "tries"), [(0.05, 1.0, 8), (0.2, 2.0, 8), (2.0, 38.0, 8)])
def test_the_interval_of_rare_leaks_holds_the_true_share_nearly_95_times_in_100(a: float, b: float, tries: int):
    rng = np.random.default_rng(5)
    clusters, held, bootstrapped = [str(n) for n in range(24)], 0, 0
    for trial in range(200):
        leaks = (rng.binomial(tries, rng.beta(a, b, 24)) / tries).tolist()
        for unit in (True, False):
            found = estimate_mean(leaks, clusters, key=str(trial), unit=unit)
            holds = found.low is not None and found.low <= a / (a + b) <= found.high
            held, bootstrapped = held + (unit and holds), bootstrapped + (not unit and holds)
    assert held / 200 >= 0.94
    assert bootstrapped <= held
