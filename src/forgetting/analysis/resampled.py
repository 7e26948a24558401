"""Intervals of statistics other than means, clustered by source example."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from forgetting.metrics.statistics import FEWEST, RESAMPLES, Estimate, Floats, percentile_interval, seed_of


def estimate_statistic(
    values: Sequence[float],
    clusters: Sequence[str],
    statistic: Callable[[Floats], float],
    *,
    key: str,
    resamples: int = RESAMPLES,
    of_order: bool = False,
) -> Estimate:
    """A statistic of the values with its 95% interval: the bootstrap over whole clusters.

    There is no interval for fewer than two clusters. If all resamples are equal, resampling would claim certainty of a
    mean; of a median it claims what the sample shows: of `FEWEST` clusters or more at one value, the median is that
    value (the interval between order statistics, 1 - 2 · 2⁻⁶ = 97%, has no width). So it has an interval, and others
    have none.

    Args:
        values: one for each example.
        clusters: `Example.cluster` of each.
        statistic: of an array of values, such as `np.median`.
        key: seeds the resampling, see `metrics.statistics.seed_of`.
        resamples: number of bootstrap samples; each draws all clusters with replacement.
        of_order: whether the statistic is a value in the middle of the ordered ones, such as the median.
    """
    array_N = np.asarray(values, dtype=np.float64)
    if not len(array_N):
        return Estimate(None, 0)
    members: dict[str, list[int]] = {}
    for place, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(place)
    groups = [array_N[members[name]] for name in sorted(members)]
    value = float(statistic(array_N))
    if len(groups) < 2:
        return Estimate(value, len(array_N))
    rng = np.random.default_rng(seed_of(key))
    drawn_B = np.array(
        [
            statistic(np.concatenate([groups[i] for i in rng.integers(0, len(groups), size=len(groups))]))
            for _ in range(resamples)
        ]
    )
    if not np.ptp(drawn_B) and not (of_order and len(groups) >= FEWEST):
        return Estimate(value, len(array_N))
    return Estimate(value, len(array_N), *percentile_interval(drawn_B, len(groups)))
