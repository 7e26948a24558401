"""Seeded 95% intervals, clustered by source example.

Paraphrases of one fact are not independent, so what is resampled is the cluster (`Record.cluster`), never the record.
Every interval has its own random generator, seeded by the key of the number it belongs to: the same records give the
same interval in any process and (but for rounding) in any order. Few clusters resampled vary less than new ones would,
so the percentiles are farther out the fewer there are (`percentile_interval`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import t as student

from forgetting.core.errors import DataError
from forgetting.core.record import Record
from forgetting.core.text import quoted
from forgetting.metrics.proportions import LEVEL, Interval, alike, wilson

RESAMPLES = 2000
FEWEST = 6
"""The fewest clusters that can show a change: five that all move one way do so by chance once in 16 times (2 · 2⁻⁵)."""
FEW_SHARES = 10
"""With fewer clusters above 0 (or below 1) a bootstrap of shares is too narrow. Of rare leaks in 24 questions it held
the true mean as seldom as 46 times in 100, Wilson's interval 94 times or more (`tests/metrics/test_statistics.py`)."""
ROUNDING = 1e-12
_GATHERED = 4_000_000  # numbers held at once while resampling: bounds memory, does not change the result

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, what it rests on and its interval; without a value or an interval, `reason` may tell why."""

    value: float | None
    count: int
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Values that could be scored, summed by cluster. C clusters, in sorted order of their names."""

    values: Floats
    sums_C: Floats
    weights_C: Floats

    @property
    def mean(self) -> float:
        """Σ sums / Σ weights: a cluster counts as much as it weighs."""
        return float(self.sums_C.sum() / self.weights_C.sum())

    @property
    def varies(self) -> bool:
        """Whether there are clusters that differ; where there are none, resampling them says nothing."""
        return self._resampled and not self._equal

    @property
    def alike(self) -> bool:
        """Whether there are clusters, and all of one value."""
        return self._resampled and self._equal

    @property
    def unlike(self) -> int:
        """Of shares: the clusters that are not at 0, or those that are not at 1, whichever are fewer."""
        means_C = self.sums_C / self.weights_C
        return int(min((means_C > ROUNDING).sum(), (means_C < 1 - ROUNDING).sum()))

    @property
    def _resampled(self) -> bool:
        return len(self.sums_C) > 1 and bool(np.isfinite(self.sums_C).all())

    @property
    def _equal(self) -> bool:
        means_C = self.sums_C / self.weights_C
        return bool(np.allclose(means_C, means_C[0], rtol=1e-12, atol=0.0))


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


def percentile_interval(resampled_B: Floats, clusters: int) -> Interval:
    """The expanded percentile bootstrap of 95% (Hesterberg 2015, https://arxiv.org/abs/1411.5279).

    A resample of n clusters varies by √((n − 1) / n) of what new samples would, and n clusters know their own spread as
    badly as Student's t says. So the percentiles are those of Φ(∓ t · √(n / (n − 1))) instead of 2.5% and 97.5%: 0.24%
    of 6 clusters, 2.3% of 100. Of 6 normal values the plain percentiles leave out the true mean 14 times in 100.
    By linear interpolation; NaN resamples are left out.

    Args:
        resampled_B: values of the statistic, each of as many clusters drawn with replacement.
        clusters: how many there are; at least 2. Where several means or kinds share one draw, those of the one with the
            fewest: of 3 clusters in one half and 57 in the other the spread is known as badly as of 3.
    """
    far = student.ppf((1 - LEVEL) / 2, clusters - 1) * math.sqrt(clusters / (clusters - 1))
    tail = 100 * float(normal.cdf(far))
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
    values: Sequence[float | None],
    clusters: Sequence[str],
    *,
    key: str,
    weights: Sequence[float] | None = None,
    unit: bool = False,
) -> Estimate:
    """The (weighted) mean of what could be scored, with its 95% interval.

    - None and NaN are missing: they are not counted. An infinite value leaves no mean; the reason says how many there
      were.
    - Fewer than two clusters: no interval.
    - Unweighted values that are all 0 or 1 are outcomes of trials. With one record per cluster, or with all outcomes
      the same (where a bootstrap would claim certainty), the interval is Wilson's for a proportion, on the number of
      clusters.
    - Values between 0 and 1 (`unit`) where most clusters are at 0, or at 1, and fewer than `FEW_SHARES` are not:
      Wilson's on the number of clusters too. No values between 0 and 1 spread more than outcomes of the same mean, so
      it is the wide side of the truth, where the bootstrap sees too few clusters to know their spread.
    - Clusters that do not differ, on any other value: resampling them would claim certainty too. A value between 0 and
      1 (`unit`) has the interval of `alike`, any other has none.
    - Otherwise: the bootstrap over clusters, 2,000 resamples (`percentile_interval`).

    Args:
        values: one per record.
        clusters: `Record.cluster` of each.
        key: the key of the measure; it seeds the resampling.
        weights: positive, one per record: tokens, for a mean over tokens.
        unit: whether every value lies between 0 and 1 by its definition.
    """
    table = tabulate(values, clusters, weights)
    if weights is None and _is_proportion(table):
        return estimated(table, _wilson(table))
    if unit and table.alike:
        return estimated(table, alike(table.mean, len(table.sums_C), 0.0, 1.0))
    if unit and weights is None and table.varies and table.unlike < min(FEW_SHARES, len(table.sums_C) / 2):
        return estimated(table, wilson(table.mean, len(table.sums_C)))
    return estimated(table, _bootstrap(table, key))


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


def tabulate(values: Sequence[float | None], clusters: Sequence[str], weights: Sequence[float] | None) -> Table:
    """What could be scored (neither None nor NaN), with its sums by cluster."""
    kept = [(n, value) for n, value in enumerate(values) if value is not None and not math.isnan(value)]
    scored = [value for _, value in kept]
    of_weight = None if weights is None else [weights[n] for n, _ in kept]
    return Table(np.array(scored, dtype=np.float64), *by_cluster(scored, [clusters[n] for n, _ in kept], of_weight))


def estimated(table: Table, interval: Interval | None) -> Estimate:
    """The mean with this interval; no mean where values are infinite."""
    count, infinite = len(table.values), int(np.isinf(table.values).sum())
    if not count:
        return Estimate(None, 0)
    if infinite:
        return Estimate(None, count, reason=f"{infinite} of {count} values are infinite: an answer got probability 0")
    return Estimate(table.mean, count, *(interval or (None, None)))


def _is_proportion(table: Table) -> bool:
    outcomes = bool(np.isin(table.values, (0.0, 1.0)).all())
    return outcomes and (len(table.values) == len(table.sums_C) or not np.ptp(table.values))


def _wilson(table: Table) -> Interval | None:
    num_clusters = len(table.sums_C)
    return wilson(round(table.mean * num_clusters) / num_clusters, num_clusters) if num_clusters > 1 else None


def _bootstrap(table: Table, key: str) -> Interval | None:
    if not table.varies:
        return None
    means_B = resampled_means(table.sums_C[None], table.weights_C[None], key=key)[:, 0]
    return percentile_interval(means_B, len(table.sums_C))
