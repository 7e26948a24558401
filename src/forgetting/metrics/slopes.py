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

_ALIKE = "no two of its examples differ in popularity"


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
        return _pooled([np.ones(len(points.x_N), dtype=bool)], points, key)
    x_N, y_N = (_within(values, points.strata) for values in (points.x_N, points.y_N))
    kept = _varies(points.x_N, points.strata)
    x_N, y_N = x_N[kept], y_N[kept]
    clusters = [name for name, keep in zip(points.clusters, kept, strict=True) if keep]
    if not len(x_N) or not np.ptp(x_N):
        return Slope(Estimate(None, 0, reason=_ALIKE))
    columns = [by_cluster(list(values), clusters) for values in (x_N, y_N, x_N * x_N, x_N * y_N)]
    sums_KC, counts_C = np.stack([sums for sums, _ in columns]), columns[0][1]
    sums_KC[:2] = 0.0  # they are 0 but for rounding: the means of strata do not move with the clusters drawn
    return _tested(sums_KC[None], counts_C[None], sums_KC[2], len(x_N), key)


def slope_within_halves(points: Points, *, key: str) -> Slope:
    """The same among the points above the median of x and among those at or below it, each half about its own means.

    What only tells the halves apart, such as two sets that were drawn from the ends of x and differ in something else,
    is no part of it. Strata are not looked at.
    """
    upper_N = points.is_upper_N
    halves = [half_N for half_N in (~upper_N, upper_N) if half_N.any() and np.ptp(points.x_N[half_N])]
    return _pooled(halves, points, key)


def _pooled(groups: Sequence[np.ndarray], points: Points, key: str) -> Slope:
    """Σ_g Σ (x - x̄_g)(y - ȳ_g) / Σ_g Σ (x - x̄_g)² over groups of points, which clusters may cross."""
    if not groups or not any(np.ptp(points.x_N[group_N]) for group_N in groups if group_N.any()):
        return Slope(Estimate(None, 0, reason=_ALIKE))
    centred = [
        tuple(np.where(group_N, values - values[group_N].mean(), np.nan) for values in (points.x_N, points.y_N))
        for group_N in groups
    ]
    tables = [
        [by_cluster(list(values), points.clusters) for values in (x_N, y_N, x_N * x_N, x_N * y_N)]
        for x_N, y_N in centred
    ]
    sums_GKC = np.stack([np.stack([sums for sums, _ in table]) for table in tables])
    counts_GC = np.stack([table[0][1] for table in tables])
    return _tested(sums_GKC, counts_GC, sums_GKC[:, 2].sum(axis=0), int(counts_GC.sum()), key)


def _tested(sums_GKC: Floats, counts_GC: Floats, spread_C: Floats, num: int, key: str) -> Slope:
    """The slope of x, y, x² and xy summed by group and cluster, bootstrapped and tested over clusters."""
    there_C = counts_GC.sum(axis=0) > 0
    sums_GKC, counts_GC, spread_C = sums_GKC[..., there_C], counts_GC[:, there_C], spread_C[there_C]
    value = float(_slope(sums_GKC.sum(axis=-1), counts_GC.sum(axis=-1)))
    found = Estimate(value, num)
    if counts_GC.shape[1] < 2:
        return Slope(found)
    # Sums over the clusters drawn, but for a common factor: means of columns that each cluster has once.
    flat_KC = np.concatenate([sums_GKC.reshape(-1, counts_GC.shape[1]), counts_GC])
    drawn_BK = resampled_means(flat_KC, np.ones_like(flat_KC), key=key)
    split = len(drawn_BK.T) - len(counts_GC)
    drawn_B = _slope(drawn_BK[:, :split].T.reshape(*sums_GKC.shape[:2], -1), drawn_BK[:, split:].T)
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if len(drawn_B) and np.ptp(drawn_B):
        found = Estimate(value, num, *percentile_interval(drawn_B, counts_GC.shape[1]))
    return Slope(found, _p_value(value, sums_GKC, counts_GC, spread_C))


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


def _slope(sums_GK: Floats, counts_G: Floats) -> Floats:
    """From the sums of x, y, x² and xy over the points of each group, and their numbers; any axes behind these."""
    x, y, xx, xy = np.moveaxis(sums_GK, 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.where(counts_G > 0, 1 / counts_G, 0.0)
        return (xy - x * y * away).sum(axis=0) / (xx - x * x * away).sum(axis=0)


def _p_value(value: float, sums_GKC: Floats, counts_GC: Floats, spread_C: Floats) -> float | None:
    num = counts_GC.shape[1]
    effective = spread_C.sum() ** 2 / (spread_C**2).sum()
    if num < FEWEST or effective < FEWEST:
        return None
    without_C = _slope(
        sums_GKC.sum(axis=-1, keepdims=True) - sums_GKC, counts_GC.sum(axis=-1, keepdims=True) - counts_GC
    )
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
