"""How a number depends on another one: slopes, and the upper half less the lower, with intervals over clusters.

Within strata, both are taken among the records of a stratum alone and then averaged, so that nothing that all records
of a stratum share can be their cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import t

from forgetting.metrics.statistics import FEWEST, Estimate, Floats, by_cluster, percentile_interval, resampled_means


@dataclass(frozen=True, slots=True)
class Points:
    """N values y at places x. Records of one cluster are not independent; a stratum lies within one cluster."""

    x_N: Floats
    y_N: Floats
    clusters: Sequence[str]
    strata: Sequence[str] | None = None
    """None: all points are compared with each other."""

    @property
    def is_upper_N(self) -> np.ndarray:
        """Whether a point lies above the median of x."""
        return self.x_N > np.median(self.x_N) if len(self.x_N) else np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True)
class Slope:
    """A slope with its interval, and how likely one at least as steep is where there is none."""

    estimate: Estimate
    p: float | None = None
    """Of a t-test with the jackknife's standard error over clusters: it errs on the side of saying nothing where few
    clusters decide, which the bootstrap does not. None: too few clusters to tell."""


def merged_clusters(*labels: Sequence[str]) -> list[str]:
    """Clusters of records that share any label, directly or through others, named by number.

    Args:
        labels: several sequences of one label for each record; an empty label is shared with no other record.
    """
    num = len(labels[0])
    if not num:
        return []
    named = [[label or f"\0{n}" for n, label in enumerate(column)] for column in labels]
    places = [np.unique(np.asarray(column, dtype=str), return_inverse=True)[1] for column in named]
    rows, columns, start = [], [], num
    for place_N in places:
        rows.append(np.arange(num))
        columns.append(start + place_N)
        start += int(place_N.max()) + 1
    joins = (np.ones(num * len(labels)), (np.concatenate(rows), np.concatenate(columns)))
    _, parts = connected_components(coo_array(joins, shape=(start, start)), directed=False)
    return [str(part) for part in parts[:num]]


def slope(points: Points, *, key: str) -> Slope:
    """The least-squares slope of y on x, bootstrapped over whole clusters (`percentile_interval`, 2,000 resamples).

    Within strata it is Σ (x - x̄_s)(y - ȳ_s) / Σ (x - x̄_s)², x̄_s and ȳ_s the means of a point's stratum s. The test
    drops each cluster once: SE² = (C - 1)/C Σ_c (b_c - b̄)², with (Σ h)²/Σ h² - 1 degrees of freedom, h_c a cluster's
    part of the spread of x. `count` is the number of points that have others to be compared with.

    Args:
        points: without missing values.
        key: seeds the resampling.
    """
    if points.strata is None:
        x_N, y_N = (values - values.mean() if len(values) else values for values in (points.x_N, points.y_N))
        kept = np.ones(len(x_N), dtype=bool)
    else:
        x_N, y_N = (_within(values, points.strata) for values in (points.x_N, points.y_N))
        kept = _varies(points.x_N, points.strata)
    x_N, y_N = x_N[kept], y_N[kept]
    clusters = [name for name, keep in zip(points.clusters, kept, strict=True) if keep]
    if not len(x_N) or not np.ptp(x_N):
        return Slope(Estimate(None, 0, reason="no two of its examples differ in popularity"))
    columns = [by_cluster(list(values), clusters) for values in (x_N, y_N, x_N * x_N, x_N * y_N)]
    sums_KC, counts_C = np.stack([sums for sums, _ in columns]), columns[0][1]
    if points.strata is not None:
        sums_KC[:2] = 0.0  # they are 0 but for rounding: the means of strata do not move with the clusters drawn
    value = float(_slope(sums_KC.sum(axis=1) / counts_C.sum()))
    found = Estimate(value, len(x_N))
    if len(counts_C) < 2:
        return Slope(found)
    drawn_BK = resampled_means(sums_KC, np.broadcast_to(counts_C, sums_KC.shape), key=key)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn_B = _slope(drawn_BK.T)
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if len(drawn_B) and np.ptp(drawn_B):
        found = Estimate(value, len(x_N), *percentile_interval(drawn_B, len(counts_C)))
    return Slope(found, _p_value(value, sums_KC, counts_C))


def upper_less_lower(points: Points, *, key: str) -> Estimate:
    """The mean of y above the median of x less that at or below it, bootstrapped over whole clusters.

    Within strata: of every stratum with points on both sides, m of them above and n below, the difference of its
    means, weighted by m n / (m + n). `count` is the number of points that are compared.
    """
    upper_N = points.is_upper_N
    if not upper_N.any():
        return Estimate(None, 0, reason="all of its examples are equally popular")
    if points.strata is not None:
        return _matched_halves(points, key)
    tables = [by_cluster(list(np.where(half, points.y_N, np.nan)), points.clusters) for half in (~upper_N, upper_N)]
    sums_KC, weights_KC = (np.stack([table[i] for table in tables]) for i in (0, 1))

    def difference(means: Floats) -> Floats:
        return means[..., 1] - means[..., 0]

    value = float(difference(sums_KC.sum(axis=1) / weights_KC.sum(axis=1)))
    return _resampled(value, len(points.x_N), sums_KC, weights_KC, difference, key)


def _matched_halves(points: Points, key: str) -> Estimate:
    assert points.strata is not None
    upper_N = points.is_upper_N
    differences, weights, clusters, count = [], [], [], 0
    for stratum in sorted(set(points.strata)):
        inside = np.array([name == stratum for name in points.strata])
        high, low = inside & upper_N, inside & ~upper_N
        if high.any() and low.any():
            m, n = int(high.sum()), int(low.sum())
            differences.append(float(points.y_N[high].mean() - points.y_N[low].mean()))
            weights.append(m * n / (m + n))
            clusters.append(points.clusters[int(np.flatnonzero(inside)[0])])
            count += m + n
    if not differences:
        return Estimate(None, 0, reason="no relation and answer has facts in both halves")
    sums_C, weights_C = by_cluster(differences, clusters, weights)
    value = float(sums_C.sum() / weights_C.sum())
    return _resampled(value, count, sums_C[None], weights_C[None], lambda means: means[..., 0], key)


def _resampled(
    value: float, count: int, sums_KC: Floats, weights_KC: Floats, of: Callable[[Floats], Floats], key: str
) -> Estimate:
    fewest = int((weights_KC > 0).sum(axis=1).min())
    if fewest < 2:
        return Estimate(value, count)
    drawn_B = of(resampled_means(sums_KC, weights_KC, key=key))
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if not len(drawn_B) or not np.ptp(drawn_B):
        return Estimate(value, count)
    return Estimate(value, count, *percentile_interval(drawn_B, fewest))


def _slope(means_K: Floats) -> Floats:
    """From the means of x, y, x² and xy."""
    x, y, xx, xy = means_K
    return (xy - x * y) / (xx - x * x)


def _p_value(value: float, sums_KC: Floats, counts_C: Floats) -> float | None:
    num = len(counts_C)
    spread_C = sums_KC[2]
    effective = spread_C.sum() ** 2 / (spread_C**2).sum()
    if num < FEWEST or effective < FEWEST:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        without_C = _slope((sums_KC.sum(axis=1, keepdims=True) - sums_KC) / (counts_C.sum() - counts_C))
    if not np.isfinite(without_C).all():
        return None
    error = float(np.sqrt((num - 1) / num * ((without_C - without_C.mean()) ** 2).sum()))
    return float(2 * t.sf(abs(value) / error, effective - 1)) if error > 0 else None


def _within(values_N: Floats, strata: Sequence[str]) -> Floats:
    """Each value less the mean of its stratum."""
    _, place_N = np.unique(np.asarray(strata, dtype=str), return_inverse=True)
    return (
        values_N - (np.bincount(place_N, weights=values_N) / np.bincount(place_N))[place_N]
        if len(place_N)
        else values_N
    )


def _varies(values_N: Floats, strata: Sequence[str]) -> np.ndarray:
    """Whether a value's stratum holds another value."""
    names = np.asarray(strata, dtype=str)
    several = {name for name in set(strata) if np.ptp(values_N[names == name])}
    return np.array([name in several for name in strata], dtype=bool)
