"""The mean of changes of the same examples, with an interval that leaves out 0 where there is a change.

An interval of a mean change decides what is called a difference, so it errs on the other side than that of a value: it
is the hull of two, each too narrow where the other is not.

- *Studentised*: the bootstrap over clusters of t = (mean* - mean) / standard error*, between the percentiles of
  `percentile_interval`. It follows the skew of the changes, and is too narrow for heavy tails. Source: Efron (1981);
  Hesterberg (2015), section 5.5, https://arxiv.org/abs/1411.5279.
- *Subsets*: the percentiles of the means of random sets of clusters, each in or out by the toss of a coin. These are
  the mean changes that no exchange of signs refutes, so the level is exact for few clusters and for tails however heavy
  where changes of nothing are symmetric about 0, as they are if the two models may be exchanged; for skewed ones it is
  too narrow. Five clusters have none: all are of one sign by chance once in 16 times. Source: Hartigan (1969), Using
  subsample values as typical values.

How often it calls a change where there is none: `tests/metrics/test_nothing.py`. No interval of a mean can keep its
level for every skew (Bahadur and Savage 1956).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from forgetting.core.record import Record
from forgetting.metrics.proportions import LEVEL, Interval, alike, most_hidden, paired_shares
from forgetting.metrics.statistics import (
    FEWEST,
    RESAMPLES,
    ROUNDING,
    Estimate,
    Floats,
    Table,
    estimated,
    percentile_interval,
    records_by_id,
    seed_of,
    tabulate,
)

_GATHERED = 4_000_000  # numbers held at once while resampling: bounds memory, does not change the result
_LEAST_ERROR = 0.5
"""Of the sample's standard error, that a resample is taken to have: one without the few clusters that differ knows
nothing of its own, and t would have no end. By simulation: a half holds the level and shows that 17 of 20 fell."""


def difference(
    after: Sequence[Record],
    before: Sequence[Record],
    value_of: Callable[[Record], float | None],
    *,
    key: str,
    unit: bool = False,
) -> Estimate:
    """The mean of `value_of(after) - value_of(before)` over the records of one split that both sides scored.

    Paired by id, over clusters: much narrower than two separate intervals. `count` is the number of pairs.

    - Fewer than `FEWEST` clusters that changed show no change: the interval goes from the most that can fall (the
      largest share that Clopper and Pearson's interval of those that fell allows, each by 1) to the most that can
      rise. It holds 0. There is none for values without bounds; the reason says how many changed.
    - Outcomes (0 or 1) with one record per cluster: Newcombe's interval for paired shares (`paired_shares`).
    - All clusters changed by one amount: `alike`, for values with bounds.
    - Otherwise: `change_intervals`, within the bounds.

    Args:
        after: records of one split.
        before: records of the same questions.
        value_of: one number of a record; None where it has none.
        key: seeds the resampling.
        unit: whether every value lies between 0 and 1 by its definition; outcomes are always taken so.

    Raises:
        DataError: an id occurs twice on one side.
    """
    earlier = records_by_id(before, "the records before")
    later = records_by_id(after, "the records after").values()
    met = [(r.cluster, value_of(r), value_of(earlier[r.id])) for r in later if r.id in earlier]
    pairs = [
        (cluster, now, then)
        for cluster, now, then in met
        if now is not None and then is not None and not math.isnan(now) and not math.isnan(then)
    ]
    if not pairs:
        return Estimate(None, 0, reason="no record was scored on both sides")
    clusters = [cluster for cluster, _, _ in pairs]
    table = tabulate([now - then for _, now, then in pairs], clusters, None)
    outcomes = all(value in (0.0, 1.0) for _, now, then in pairs for value in (now, then))
    if outcomes and len(table.sums_C) == len(pairs) and _changed(table) >= FEWEST:
        return estimated(table, paired_shares([(now, then) for _, now, then in pairs]))
    found = estimated(table, _of_changes(table, key, unit or outcomes))
    if found.low is None and _changed(table) < FEWEST:
        return replace(found, reason=f"too few changed examples to tell ({_changed(table)} of {len(table.sums_C)})")
    return found


def mean_change(values: Sequence[float | None], clusters: Sequence[str], *, key: str) -> Estimate:
    """The mean of changes with `change_intervals`; unlike outcomes of trials, changes of 0 or 1 are no shares.

    None and NaN are missing. There is no interval of fewer than `FEWEST` clusters or where all changed by one amount.
    """
    table = tabulate(values, clusters, None)
    return estimated(table, _interval(table, key))


def change_intervals(sums_KC: Floats, weights_KC: Floats, *, key: str, resamples: int = RESAMPLES) -> Floats:
    """The 95% intervals of K mean changes over C clusters, `[K, 2]`, low and high; see the head of this file.

    The K share draws of clusters. Of fewer than `FEWEST` clusters the ends are infinite.

    Args:
        sums_KC: sums of weight · change over the records of a cluster; they differ between clusters.
        weights_KC: sums of weights, above 0.
        key: seeds the generator, see `seed_of`.
        resamples: how many, of each kind.
    """
    rng = np.random.default_rng(seed_of(key))
    studentised_K2, subsets_K2 = (draw(rng, sums_KC, weights_KC, resamples) for draw in (_studentised, _subsets))
    both_K4 = np.concatenate([studentised_K2, subsets_K2], axis=1)
    ends_K2 = np.stack([both_K4[:, ::2].min(axis=1), both_K4[:, 1::2].max(axis=1)], axis=1)
    largest_K = np.abs(sums_KC / weights_KC).max(axis=1)
    return np.where(np.abs(ends_K2) < ROUNDING * largest_K[:, None], 0.0, ends_K2)  # 0.1 + 0.2 - 0.3 is none


def _studentised(rng: np.random.Generator, sums_KC: Floats, weights_KC: Floats, resamples: int) -> Floats:
    """mean - t · standard error at both percentiles of t. A mean is a ratio of sums: its error is linearised."""
    num, count = sums_KC.shape
    total_K = weights_KC.sum(axis=1)
    mean_K = sums_KC.sum(axis=1) / total_K
    rest_KC = sums_KC - mean_K[:, None] * weights_KC
    error_K = np.sqrt((rest_KC**2).sum(axis=1)) / total_K
    t_KB = np.empty((num, resamples))
    for start, size in _blocks(resamples, count):
        drawn_bC = rng.integers(0, count, size=(size, count)) + count * np.arange(size)[:, None]
        times_Cb = np.bincount(drawn_bC.ravel(), minlength=size * count).reshape(size, count).T.astype(np.float64)
        total_Kb = weights_KC @ times_Cb
        away_Kb = (rest_KC @ times_Cb) / total_Kb
        square_Kb = rest_KC**2 @ times_Cb - 2 * away_Kb * ((rest_KC * weights_KC) @ times_Cb)
        square_Kb += away_Kb**2 * (weights_KC**2 @ times_Cb)
        error_Kb = np.sqrt(np.maximum(square_Kb, 0.0)) / total_Kb
        t_KB[:, start : start + size] = away_Kb / np.maximum(error_Kb, _LEAST_ERROR * error_K[:, None])
    low_K, high_K = np.array([percentile_interval(t_B, count) for t_B in t_KB]).T
    return np.stack([mean_K - high_K * error_K, mean_K - low_K * error_K], axis=1)


def _subsets(rng: np.random.Generator, sums_KC: Floats, weights_KC: Floats, resamples: int) -> Floats:
    """Of the means of subsets those that 2.5% lie beyond; the empty one lies beyond all. All subsets, or draws."""
    num, count = sums_KC.shape
    every = 2**count if count <= math.log2(resamples) else 0
    means_KS = np.empty((num, every or resamples + 1))
    for start, size in _blocks(means_KS.shape[1], count):
        if every:
            in_sC = (np.arange(start, start + size)[:, None] >> np.arange(count)) & 1
        else:
            in_sC = rng.integers(0, 2, size=(size, count))
            if start == 0:
                in_sC[0] = 0  # the empty one
        in_Cs = in_sC.T.astype(np.float64)
        with np.errstate(invalid="ignore"):
            means_KS[:, start : start + size] = (sums_KC @ in_Cs) / (weights_KC @ in_Cs)
    sets = means_KS.shape[1]
    beyond = math.floor((1 - LEVEL) / 2 * sets)
    ends = ((-np.inf, beyond), (np.inf, sets - 1 - beyond))
    found = [np.partition(np.where(np.isnan(means_KS), far, means_KS), at, axis=1)[:, at] for far, at in ends]
    return np.stack(found, axis=1)


def _blocks(total: int, count: int) -> list[tuple[int, int]]:
    """Starts and sizes of parts of so many draws of `count` clusters."""
    size = max(1, _GATHERED // count)
    return [(start, min(size, total - start)) for start in range(0, total, size)]


def _interval(table: Table, key: str, bound: float = math.inf) -> Interval | None:
    """`bound`: of the size of each change."""
    if not table.varies or len(table.sums_C) < FEWEST:
        return None
    low, high = change_intervals(table.sums_C[None], table.weights_C[None], key=key)[0].clip(-bound, bound)
    return float(low), float(high)


def _of_changes(table: Table, key: str, unit: bool) -> Interval | None:
    """The interval of a mean change; `unit`: each change lies between -1 and 1."""
    num_clusters = len(table.sums_C)
    if _changed(table) < FEWEST:
        if not unit or num_clusters < 2:
            return None
        low, high = -most_hidden(_fallen(table), num_clusters), most_hidden(_risen(table), num_clusters)
        return min(low, table.mean), max(high, table.mean)
    if table.alike:
        return alike(table.mean, num_clusters, -1.0, 1.0) if unit else None
    return _interval(table, key, 1.0 if unit else math.inf)


def _changed(table: Table) -> int:
    """The clusters that have any change."""
    return _fallen(table) + _risen(table)


def _fallen(table: Table) -> int:
    return int((table.sums_C < -ROUNDING).sum())


def _risen(table: Table) -> int:
    return int((table.sums_C > ROUNDING).sum())
