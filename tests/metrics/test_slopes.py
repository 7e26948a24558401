import numpy as np
import pytest
from scipy import stats

from forgetting.metrics.slopes import Points, merged_clusters, slope, slope_within_halves, upper_less_lower
from forgetting.metrics.statistics import seed_of
from tests.metrics.percentiles import percentiles


def points(num=60, clusters=12, seed=0, effect=0.0, strata=False):
    """Places and values that share a part within their cluster."""
    rng = np.random.default_rng(seed)
    names = [f"c{n % clusters}" for n in range(num)]
    shared = rng.normal(size=(2, clusters))
    x = np.array([shared[0, n % clusters] for n in range(num)]) + rng.normal(size=num)
    y = effect * x + np.array([shared[1, n % clusters] for n in range(num)]) + rng.normal(size=num)
    return Points(x, y, names, names if strata else None)


def drawn(clusters, key, resamples=2000):
    """The members of each resample, drawn as `resampled_means` draws them."""
    names = sorted(set(clusters))
    members = [[n for n, c in enumerate(clusters) if c == name] for name in names]
    rng = np.random.default_rng(seed_of(key))
    picks = rng.integers(0, len(names), size=(resamples, len(names)))
    return [[n for pick in row for n in members[pick]] for row in picks]


def line(x, y):
    return np.polyfit(x, y, 1)[0]


def test_a_slope_is_that_of_a_least_squares_line():
    given = points()
    found = slope(given, key="k")
    assert found.estimate.value == pytest.approx(line(given.x_N, given.y_N), rel=1e-10)
    assert found.estimate.count == 60


def test_its_interval_is_that_of_lines_through_resampled_clusters():
    given = points()
    slopes = [line(given.x_N[m], given.y_N[m]) for m in drawn(given.clusters, "k")]
    found = slope(given, key="k").estimate
    assert (found.low, found.high) == pytest.approx(
        np.percentile(slopes, percentiles(len(set(given.clusters)))), rel=1e-9
    )


def test_its_test_is_the_jackknife_over_clusters():
    given = points(effect=0.3)
    names = sorted(set(given.clusters))
    kept = [np.array([c != name for c in given.clusters]) for name in names]
    without = np.array([line(given.x_N[k], given.y_N[k]) for k in kept])
    error = np.sqrt((len(names) - 1) / len(names) * ((without - without.mean()) ** 2).sum())
    centred = given.x_N - given.x_N.mean()
    spread = np.array([(centred[~k] ** 2).sum() for k in kept])
    free = spread.sum() ** 2 / (spread**2).sum() - 1
    expected = 2 * stats.t.sf(abs(line(given.x_N, given.y_N)) / error, free)
    assert slope(given, key="k").p == pytest.approx(expected, rel=1e-8)


def test_within_strata_it_is_the_slope_with_a_constant_for_each():
    given = points(strata=True)
    names = sorted(set(given.clusters))
    dummies = np.array([[c == name for name in names] for c in given.clusters], dtype=float)
    expected = np.linalg.lstsq(np.column_stack([given.x_N, dummies]), given.y_N, rcond=None)[0][0]
    assert slope(given, key="k").estimate.value == pytest.approx(expected, rel=1e-10)


def test_what_a_stratum_shares_is_no_slope_within_it():
    names = [f"c{n // 4}" for n in range(40)]
    x = np.array([float(n // 4) + 0.1 * (n % 4) for n in range(40)])
    y = np.array([float(n // 4) for n in range(40)])
    assert slope(Points(x, y, names), key="k").estimate.value == pytest.approx(1.0, abs=0.02)
    assert slope(Points(x, y, names, names), key="k").estimate.value == pytest.approx(0.0, abs=1e-12)


def test_strata_of_one_place_are_not_counted():
    x, y = np.array([1.0, 2.0, 5.0]), np.array([0.0, 1.0, 9.0])
    found = slope(Points(x, y, ["a", "a", "b"], ["a", "a", "b"]), key="k").estimate
    assert (found.value, found.count) == (pytest.approx(1.0), 2)


def test_equal_places_have_no_slope_and_say_so():
    found = slope(Points(np.ones(3), np.arange(3.0), ["a", "b", "c"]), key="k")
    assert (found.estimate.value, found.estimate.count, found.p) == (None, 0, None)
    assert "popularity" in found.estimate.reason


def test_a_few_clusters_are_not_tested():
    assert slope(points(clusters=5), key="k").p is None
    assert slope(points(clusters=12), key="k").p is not None


def test_one_cluster_that_outweighs_all_others_is_not_tested():
    given = points(num=60, clusters=60)
    clusters = ["India" if n < 50 else f"c{n}" for n in range(60)]
    assert slope(Points(given.x_N, given.y_N, clusters), key="k").p is None


def with_halves(x, y, upper):
    """The slope of y on x and on a constant for each half."""
    return np.linalg.lstsq(np.column_stack([x, upper, ~upper]).astype(float), y, rcond=None)[0][0]


def test_within_halves_it_is_the_slope_with_a_constant_for_each():
    given = points(effect=0.3)
    upper = given.is_upper_N
    found = slope_within_halves(given, key="k")
    assert found.estimate.value == pytest.approx(with_halves(given.x_N, given.y_N, upper), rel=1e-9)
    assert found.estimate.count == 60
    slopes = [with_halves(given.x_N[m], given.y_N[m], upper[m]) for m in drawn(given.clusters, "k", 2000)]
    assert (found.estimate.low, found.estimate.high) == pytest.approx(np.percentile(slopes, percentiles(12)), rel=1e-7)


def test_within_halves_its_test_is_the_jackknife_over_clusters():
    given = points(effect=0.3)
    x, y, upper = given.x_N, given.y_N, given.is_upper_N
    kept = [np.array([c != name for c in given.clusters]) for name in sorted(set(given.clusters))]
    without = np.array([with_halves(x[k], y[k], upper[k]) for k in kept])
    error = np.sqrt((len(kept) - 1) / len(kept) * ((without - without.mean()) ** 2).sum())
    inner = np.where(upper, x - x[upper].mean(), x - x[~upper].mean())
    spread = np.array([(inner[~k] ** 2).sum() for k in kept])
    free = spread.sum() ** 2 / (spread**2).sum() - 1
    expected = 2 * stats.t.sf(abs(with_halves(x, y, upper)) / error, free)
    assert slope_within_halves(given, key="k").p == pytest.approx(expected, rel=1e-8)


def test_what_only_tells_two_sets_apart_is_no_slope_within_them():
    rng = np.random.default_rng(0)
    popular = np.arange(80) >= 40
    x, y = rng.normal(size=80) + 20 * popular, popular + 0.1 * rng.normal(size=80)
    given = Points(x, y, [str(n) for n in range(80)])
    assert slope(given, key="k").p < 1e-6
    within = slope_within_halves(given, key="k")
    assert within.estimate.low < 0 < within.estimate.high


def test_halves_of_one_place_each_have_no_slope_within_them():
    given = Points(np.array([1.0, 1.0, 2.0, 2.0]), np.arange(4.0), list("abcd"))
    found = slope_within_halves(given, key="k")
    assert (found.estimate.value, found.p) == (None, None)
    assert slope_within_halves(Points(np.zeros(0), np.zeros(0), []), key="k").estimate.value is None


def test_halves_are_cut_at_the_median():
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 5.0, 9.0])
    found = upper_less_lower(Points(x, y, list("abcd")), key="k")
    assert (found.value, found.count) == (pytest.approx(7.0 - 1.0), 4)


def test_the_interval_of_halves_is_that_of_resampled_clusters():
    given = points()
    cut = np.median(given.x_N)
    values = []
    for m in drawn(given.clusters, "k"):
        x, y = given.x_N[m], given.y_N[m]
        values.append(y[x > cut].mean() - y[x <= cut].mean())
    found = upper_less_lower(given, key="k")
    sides = [
        {name for name, x in zip(given.clusters, given.x_N, strict=True) if bool(x > cut) is up} for up in (False, True)
    ]
    assert (found.low, found.high) == pytest.approx(np.percentile(values, percentiles(min(map(len, sides)))), rel=1e-9)


def test_a_half_of_few_clusters_is_known_as_badly_as_of_few():
    x, y = np.array([1.0] * 57 + [2.0, 3.0, 4.0]), np.random.default_rng(0).normal(size=60)
    names = [f"{n:02}" for n in range(60)]
    found = upper_less_lower(Points(x, y, names), key="k")
    values = [y[m[m > 56]].mean() - y[m[m < 57]].mean() for m in map(np.array, drawn(names, "k")) if (m > 56).any()]
    assert (found.low, found.high) == pytest.approx(np.percentile(values, percentiles(3)), rel=1e-9)
    alone = upper_less_lower(Points(x[:58], y[:58], names[:58]), key="k")
    assert alone.value is not None and alone.low is None


def test_matched_halves_compare_strata_that_have_both():
    x, y = np.array([1.0, 9.0, 8.0, 2.0, 7.0]), np.array([0.0, 1.0, 3.0, 10.0, 50.0])
    strata = ["a", "a", "a", "b", "c"]
    found = upper_less_lower(Points(x, y, strata, strata), key="k")
    assert (found.value, found.count) == (pytest.approx(2.0 - 0.0), 3)
    # the median is 7, so c is rare as well


def test_without_a_stratum_of_both_halves_nothing_is_compared():
    x, y = np.array([1.0, 2.0, 8.0, 9.0]), np.zeros(4)
    found = upper_less_lower(Points(x, y, list("aabb"), list("aabb")), key="k")
    assert found.value is None
    assert "both halves" in found.reason


@pytest.mark.parametrize("strata", [False, True])
def test_no_slope_is_found_more_often_than_at_the_level_where_there_is_none(strata):
    """Of 100 samples with none, 5% are 5; 12 and more have a probability of 0.4% at that rate."""
    found = [slope(points(clusters=20, seed=n, strata=strata), key=str(n)).p for n in range(100)]
    assert sum(p is not None for p in found) >= 95
    assert sum(p < 0.05 for p in found if p is not None) < 12


def test_clusters_that_share_a_label_are_one():
    merged = merged_clusters(["x", "x", "y", "z", ""], ["1", "2", "2", "3", ""])
    assert merged[0] == merged[1] == merged[2]
    assert len({merged[2], merged[3], merged[4]}) == 3


def test_empty_labels_are_not_shared():
    assert len(set(merged_clusters(["", "", ""], ["", "", ""]))) == 3
    assert merged_clusters([], []) == []
