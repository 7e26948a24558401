"""How far runs end from the oracle, and which of two ends closer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forgetting.core.measure import Measure
from forgetting.metrics.share import ends
from forgetting.metrics.statistics import FEWEST, by_cluster, percentile_interval, resampled_means
from forgetting.report.verdict.intervals import amount
from forgetting.report.verdict.paired import Side, matched


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a run's forget measure is from the oracle's value, with the range that its own interval allows."""

    label: str
    measure: Measure
    value: float
    low: float
    high: float


def distance_to_oracle(label: str, after: Side, oracle: Side, key: str | None) -> Distance | None:
    """|after - oracle| of the measure `key`; None without both.

    The oracle's own interval is left out: it is the same for all runs that are compared.
    """
    measure, goal = after.value(key), oracle.value(key)
    if measure is None or goal is None:
        return None
    centre = amount(goal)
    value = abs(amount(measure) - centre)
    known = ends(measure)
    if known is None:
        return Distance(label, measure, value, 0.0, float("inf"))
    low, high = known
    far = (abs(low - centre), abs(high - centre))
    return Distance(label, measure, value, 0.0 if low <= centre <= high else min(far), max(far))


def farther(key: str, one: Side, other: Side, oracle: Side) -> bool | None:
    """Whether `one` is shown to end farther from the oracle than `other`, on the examples that all three measured.

    The bootstrap over clusters of |one - oracle| - |other - oracle|, all three drawn together. None where they cannot
    be paired.
    """
    values = matched(key, (one, other, oracle))
    if values is None:
        return None
    clusters = [cluster for cluster, _ in values]
    tables = [by_cluster([v[side] - v[2] for _, v in values], clusters) for side in (0, 1)]
    sums_KC, weights_KC = (np.stack([table[part] for table in tables]) for part in (0, 1))
    if (np.abs(sums_KC[0] - sums_KC[1]) > 1e-12).sum() < FEWEST:
        return False
    away_BK = np.abs(resampled_means(sums_KC, weights_KC, key=key.partition("/")[2]))
    low, _ = percentile_interval(away_BK[:, 0] - away_BK[:, 1], sums_KC.shape[1])
    return low > 0
