"""How a number of an example goes with its popularity: Spearman's rank correlation, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import PerExample, measure
from forgetting.metrics.statistics import RESAMPLES, Estimate, Floats, percentile_interval, seed_of

_HELD = 2_000_000  # ranks held at once while resampling: bounds memory, does not change the result


def with_popularity(what: PerExample, splits: Sequence[str]) -> Metric:
    """Spearman's correlation of `what` with popularity in each of `splits`, named `{what.name}_popularity_spearman`.

    Records without popularity or without a value are left out; a split in which none has popularity gives no measure.
    Paraphrases of one fact are one point, by their means. The interval is the bootstrap over facts.
    """

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        known = {s: [r for r in records.get(s, ()) if r.popularity is not None] for s in splits}
        return [_of_split(what, split, members) for split, members in known.items() if members]

    return metric


def spearman(x_RN: Floats, y_RN: Floats) -> Floats:
    """Spearman's rank correlation of each row, `[R]`; ties have their mean rank, and a row without spread is NaN."""
    ranks = [rankdata(values, axis=1) for values in (x_RN, y_RN)]
    x_RN, y_RN = (values - values.mean(axis=1, keepdims=True) for values in ranks)
    with np.errstate(invalid="ignore"):
        found_R: Floats = (x_RN * y_RN).sum(axis=1) / np.sqrt((x_RN**2).sum(axis=1) * (y_RN**2).sum(axis=1))
    return found_R


def _of_split(what: PerExample, split: str, records: Sequence[Record]) -> Measure:
    name = f"{what.name}_popularity_spearman"
    return measure(
        _estimate(what, records, f"{split}/{name}"),
        name=name,
        split=split,
        direction="none",
        meaning=f"Spearman's rank correlation of {what.name} with popularity: 1 = the more popular, the higher; 0 = "
        "unrelated. Popularity often goes with the kind of question and the answer, too.",
        absent=f"none of the {len(records)} records of split '{split}' with popularity has {what.needs}",
    )


def _estimate(what: PerExample, records: Sequence[Record], key: str) -> Estimate:
    facts: dict[str, list[tuple[float, float]]] = {}
    count = 0
    for record in records:
        value = what.value_of(record)
        if value is not None and not math.isnan(value):
            facts.setdefault(record.cluster, []).append((float(record.popularity or 0.0), value))
            count += 1
    if not facts:
        return Estimate(None, 0)
    points_CP = np.array([np.mean(facts[name], axis=0) for name in sorted(facts)])
    value = float(spearman(points_CP[None, :, 0], points_CP[None, :, 1])[0])
    if math.isnan(value):
        return Estimate(None, count, reason="popularity or values are all equal, so that there is no order to compare")
    drawn_B = _resampled(points_CP, key)
    return Estimate(
        value, count, *(percentile_interval(drawn_B, len(points_CP)) if np.nanstd(drawn_B) > 0 else (None, None))
    )


def _resampled(points_CP: Floats, key: str) -> Floats:
    rng = np.random.default_rng(seed_of(key))
    num_facts = len(points_CP)
    rows = max(1, _HELD // num_facts)
    blocks = []
    for start in range(0, RESAMPLES, rows):
        drawn_RC = rng.integers(0, num_facts, size=(min(rows, RESAMPLES - start), num_facts))
        blocks.append(spearman(points_CP[drawn_RC, 0], points_CP[drawn_RC, 1]))
    return np.concatenate(blocks)
