"""Seeded 95% intervals, clustered by source example.

Paraphrases of one fact are not independent, so what is resampled is the cluster (`Record.cluster`), never the record.
Every interval has its own random generator, seeded by the key of the number it belongs to: the same records give the
same interval in any process and (but for rounding) in any order. The percentile bootstrap is somewhat too narrow for
fewer than about 20 clusters; read such intervals as the least there is to doubt.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from forgetting.core.errors import DataError
from forgetting.core.record import Record
from forgetting.core.text import quoted

LEVEL = 0.95
RESAMPLES = 2000
_GATHERED = 4_000_000  # numbers held at once while resampling: bounds memory, does not change the result

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, what it rests on and its interval; without a value, `reason` may tell why."""

    value: float | None
    count: int
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    """Values that could be scored, summed by cluster. C clusters, in sorted order of their names."""

    values: Floats
    sums_C: Floats
    weights_C: Floats

    @property
    def mean(self) -> float:
        return float(self.sums_C.sum() / self.weights_C.sum())

    @property
    def varies(self) -> bool:
        """Whether there are clusters that differ; where there are none, resampling them says nothing."""
        if len(self.sums_C) < 2 or not np.isfinite(self.sums_C).all():
            return False
        means_C = self.sums_C / self.weights_C
        return not np.allclose(means_C, means_C[0], rtol=1e-12, atol=0.0)


def seed_of(key: str) -> int:
    """A seed that is stable across processes and machines: 64 bits of SHA-256 of the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")


def resampled_means(sums_KC: Floats, weights_KC: Floats, *, key: str, resamples: int = RESAMPLES) -> Floats:
    """Weighted means over resampled clusters, `[B, K]`: B resamples of C clusters with replacement.

    K quantities share the clusters, so they are drawn together and stay as correlated as they are. A quantity whose
    drawn clusters all have weight 0 is NaN in that resample.

    Args:
        sums_KC: sums of weight · value over the records of a cluster.
        weights_KC: sums of weights.
        key: seeds the generator, see `seed_of`.
        resamples: B.
    """
    rng = np.random.default_rng(seed_of(key))
    num_clusters = sums_KC.shape[1]
    rows = max(1, _GATHERED // sums_KC.size)
    blocks = []
    for start in range(0, resamples, rows):
        drawn_bC = rng.integers(0, num_clusters, size=(min(rows, resamples - start), num_clusters))
        with np.errstate(invalid="ignore"):
            blocks.append(sums_KC[:, drawn_bC].sum(axis=2) / weights_KC[:, drawn_bC].sum(axis=2))
    return np.concatenate(blocks, axis=1).T


def percentile_interval(resampled_B: Floats) -> Interval:
    """The central 95% of resampled values (percentile bootstrap, linear interpolation); NaN resamples are left out."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(resampled_B, [tail, 100 - tail])
    return float(low), float(high)


def by_cluster(
    values: Sequence[float | None], clusters: Sequence[str], weights: Sequence[float] | None = None
) -> tuple[Floats, Floats]:
    """Sums of weight · value and sums of weights by cluster, `[C]` each, in sorted order of the cluster names.

    Missing values (None, NaN) add nothing, but their cluster keeps its place, so that several quantities of the same
    records share one set of clusters.
    """
    names_C, index_N = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    values_N = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    weights_N = np.where(np.isnan(values_N), 0.0, 1.0 if weights is None else np.asarray(weights, dtype=np.float64))
    scored_N = np.where(np.isnan(values_N), 0.0, values_N)
    sums_C, weights_C = (np.zeros(len(names_C)) for _ in range(2))
    np.add.at(sums_C, index_N, weights_N * scored_N)
    np.add.at(weights_C, index_N, weights_N)
    return sums_C, weights_C


def estimate_mean(
    values: Sequence[float | None], clusters: Sequence[str], *, key: str, weights: Sequence[float] | None = None
) -> Estimate:
    """The (weighted) mean of what could be scored, with its 95% interval.

    - None and NaN are missing: they are not counted. An infinite value leaves no mean; the reason says how many there
      were.
    - Fewer than two clusters: no interval.
    - Unweighted values that are all 0 or 1 are outcomes of trials. With one record per cluster, or with all outcomes
      the same (where a bootstrap would claim certainty), the interval is Wilson's for a proportion, on the number of
      clusters.
    - Clusters that do not differ, on any other value: no interval, since resampling them would claim certainty too.
    - Otherwise: the percentile bootstrap over clusters, 2,000 resamples.

    Args:
        values: one per record.
        clusters: `Record.cluster` of each.
        key: the key of the measure; it seeds the resampling.
        weights: positive, one per record: tokens, for a mean over tokens.
    """
    table = _tabulate(values, clusters, weights)
    if weights is None and _is_proportion(table):
        return _estimate(table, _wilson(table))
    return _estimate(table, _bootstrap(table, key))


def difference(
    after: Sequence[Record], before: Sequence[Record], value_of: Callable[[Record], float | None], *, key: str
) -> Estimate:
    """The mean of `value_of(after) - value_of(before)` over the records of one split that both sides scored.

    Paired by id and bootstrapped over clusters: much narrower than two separate intervals. There is no interval for
    fewer than two clusters or where every cluster changed by the same amount. `count` is the number of pairs.

    Raises:
        DataError: an id occurs twice on one side.
    """
    earlier = records_by_id(before, "the records before")
    values: list[float | None] = []
    clusters: list[str] = []
    for record in records_by_id(after, "the records after").values():
        now, then = value_of(record), value_of(earlier[record.id]) if record.id in earlier else None
        values.append(None if now is None or then is None else now - then)
        clusters.append(record.cluster)
    found = mean_change(values, clusters, key=key)
    return found if found.count else replace(found, reason="no record was scored on both sides")


def mean_change(values: Sequence[float | None], clusters: Sequence[str], *, key: str) -> Estimate:
    """The mean of changes, bootstrapped over clusters; unlike outcomes of trials, changes of 0 or 1 are no shares.

    None and NaN are missing. There is no interval for fewer than two clusters or where all changed by the same amount.
    """
    table = _tabulate(values, clusters, None)
    return _estimate(table, _bootstrap(table, key))


def records_by_id(records: Sequence[Record], what: str) -> Mapping[str, Record]:
    """Records of one split by id, in their order.

    Raises:
        DataError: an id occurs twice; `what` names the records in the message.
    """
    found: dict[str, Record] = {}
    for record in records:
        if record.id in found:
            raise DataError(
                f"{what}: id {quoted(record.id)} occurs twice in split '{record.split}'; give each example its own id"
            )
        found[record.id] = record
    return found


def _tabulate(values: Sequence[float | None], clusters: Sequence[str], weights: Sequence[float] | None) -> _Table:
    kept = [(n, value) for n, value in enumerate(values) if value is not None and not math.isnan(value)]
    scored = [value for _, value in kept]
    of_weight = None if weights is None else [weights[n] for n, _ in kept]
    return _Table(np.array(scored, dtype=np.float64), *by_cluster(scored, [clusters[n] for n, _ in kept], of_weight))


def _estimate(table: _Table, interval: Interval | None) -> Estimate:
    count, infinite = len(table.values), int(np.isinf(table.values).sum())
    if not count:
        return Estimate(None, 0)
    if infinite:
        return Estimate(None, count, reason=f"{infinite} of {count} values are infinite: an answer got probability 0")
    return Estimate(table.mean, count, *(interval or (None, None)))


def _is_proportion(table: _Table) -> bool:
    outcomes = bool(np.isin(table.values, (0.0, 1.0)).all())
    return outcomes and (len(table.values) == len(table.sums_C) or not np.ptp(table.values))


def _wilson(table: _Table) -> Interval | None:
    num_clusters = len(table.sums_C)
    if num_clusters < 2:
        return None
    interval = binomtest(round(table.mean * num_clusters), num_clusters).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def _bootstrap(table: _Table, key: str) -> Interval | None:
    if not table.varies:
        return None
    return percentile_interval(resampled_means(table.sums_C[None], table.weights_C[None], key=key)[:, 0])
