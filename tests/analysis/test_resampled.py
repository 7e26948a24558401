"""Intervals of medians and the like resample whole clusters."""

import numpy as np
import pytest

from forgetting.analysis.resampled import estimate_statistic
from forgetting.metrics.statistics import seed_of
from tests.metrics.percentiles import percentiles


def by_hand(values: list[float], clusters: list[str], key: str) -> tuple[float, float]:
    names = sorted(set(clusters))
    rng = np.random.default_rng(seed_of(key))
    medians = []
    for _ in range(2000):
        drawn = [
            v
            for c in rng.integers(0, len(names), len(names))
            for v, of in zip(values, clusters, strict=True)
            if of == names[c]
        ]
        ordered = sorted(drawn)
        middle = len(ordered) // 2
        medians.append(ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)
    low, high = np.percentile(medians, percentiles(len(names)))
    return float(low), float(high)


def test_the_interval_is_that_of_a_plain_loop_over_resampled_clusters() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=31).tolist()
    clusters = [f"c{n}" for n in rng.integers(0, 9, 31)]
    found = estimate_statistic(values, clusters, np.median, key="forget/x")  # type: ignore[arg-type]
    assert found.value == float(np.median(values)) and found.count == 31
    assert (found.low, found.high) == pytest.approx(by_hand(values, clusters, "forget/x"), rel=1e-12)


@pytest.mark.parametrize(("values", "clusters"), [([1.0, 2.0], ["a", "a"]), ([3.0, 3.0, 3.0], ["a", "b", "c"])])
def test_there_is_none_where_resampling_would_claim_certainty(values: list[float], clusters: list[str]) -> None:
    found = estimate_statistic(values, clusters, np.median, key="k")  # type: ignore[arg-type]
    assert found.value is not None and (found.low, found.high) == (None, None)
    assert estimate_statistic([], [], np.median, key="k").value is None  # type: ignore[arg-type]


def test_a_median_that_no_resample_moves_has_an_interval_without_width() -> None:
    def found(values: list[float]) -> tuple[float | None, float | None]:
        clusters = [str(i) for i in range(len(values))]
        one = estimate_statistic(values, clusters, np.median, key="k", of_order=True)  # type: ignore[arg-type]
        return one.low, one.high

    assert found([0.0] * 6) == (0.0, 0.0)
    assert found([0.0] * 5) == (None, None)  # five at one value are chance once in 16
    assert found([0.0] * 23 + [900.0]) == (0.0, 0.0)  # one outlier among 24 moves no median
    low, high = found([0.0] * 13 + [4.0] * 11)
    assert (low, high) == (0.0, 4.0)
