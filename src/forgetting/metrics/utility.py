"""Model utility: one number for what should have been kept. A harmonic mean, so one bad part pulls it down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import hmean

from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import PerExample, unscored
from forgetting.metrics.proportions import Interval, alike
from forgetting.metrics.statistics import Floats, by_cluster, percentile_interval, resampled_means
from forgetting.metrics.text import rouge_l_recall
from forgetting.metrics.truth_ratio import Reading, suffix, truth_ratio_utility

ALL = "all"
"""The split of a measure that rests on several splits."""


class Part(NamedTuple):
    """One value that enters the mean: `what`, averaged over the records of `split`."""

    split: str
    what: PerExample


def harmonic_mean(name: str, parts: Sequence[Part], meaning: str) -> Metric:
    """`all/name`: n / Σ 1/part over the means of `parts`; 0 as soon as one part is 0.

    The parts must be values of which 0 is the worst. A part that cannot be measured leaves the whole without a value;
    the reason names it. The interval is the bootstrap over clusters; parts of one split are resampled
    together. `count` is the number of records that any part scored.

    Raises:
        RecipeError: there are no parts.
    """
    if not parts:
        raise RecipeError(f"'{name}' is a harmonic mean of no parts; name at least one")

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        splits = [
            _SplitParts(split, records.get(split, ()), [part.what for part in parts if part.split == split])
            for split in dict.fromkeys(part.split for part in parts)
        ]
        reason = "; ".join(text for split in splits for text in split.missing())
        if reason:
            return [Measure(name=name, split=ALL, value=None, count=0, direction="up", meaning=meaning, reason=reason)]
        value = float(hmean(np.concatenate([split.means() for split in splits])))
        low, high = _interval(splits, name) or (None, None)
        count = sum(split.count() for split in splits)
        return [
            Measure(name=name, split=ALL, value=value, count=count, low=low, high=high, direction="up", meaning=meaning)
        ]

    return metric


def tofu_model_utility(
    reading: Reading = "mean_loss",
    *,
    retain: str = "retain",
    real_authors: str = "real_authors",
    world_facts: str = "world_facts",
) -> Metric:
    """TOFU's model utility: the harmonic mean of probability, ROUGE-L recall and truth ratio on three splits.

    Probability is p(answer)^(1/tokens) on the retain set and the answer's share among the options on the other two; the
    truth ratio is mean max(0, 1 - R), in one of its two readings (see `truth_ratio`). With `mean_loss` the measure is
    `all/model_utility`, the number of TOFU's `aggregate_eval_stat.py` and of LoKU; else its name ends in
    `_mean_probability`, the number of TOFU's `utils.py`. Source: Maini et al., TOFU, section 2.2.2.
    """
    parts = [
        Part(split, what)
        for split, likely in (
            (retain, probability),
            (real_authors, option_probability),
            (world_facts, option_probability),
        )
        for what in (likely, rouge_l_recall, truth_ratio_utility(reading))
    ]
    meaning = (
        "TOFU's model utility: harmonic mean of nine numbers (probability, ROUGE-L recall and truth ratio on retained "
        "facts, real authors and world facts). 1 = all perfect, 0 = one of them is lost."
    )
    return harmonic_mean(f"model_utility{suffix(reading)}", parts, meaning)


class _SplitParts:
    """The parts that rest on one split, on shared clusters. K parts, C clusters, B resamples."""

    def __init__(self, split: str, records: Sequence[Record], whats: Sequence[PerExample]) -> None:
        self.split, self.records, self.whats = split, records, whats
        self._values = [[what.value_of(record) for record in records] for what in whats]
        clusters = [record.cluster for record in records]
        tables = [by_cluster(values, clusters) for values in self._values]
        self._sums_KC = np.stack([sums_C for sums_C, _ in tables])
        self._weights_KC = np.stack([weights_C for _, weights_C in tables])

    def missing(self) -> list[str]:
        """A phrase for each part that has no usable mean."""
        found = []
        for what, values, weights_C in zip(self.whats, self._values, self._weights_KC, strict=True):
            if not weights_C.sum():
                found.append(f"{self.split}/{what.name}: {unscored(self.split, self.records, what.needs)}")
            elif any(value is not None and (value < 0 or math.isinf(value)) for value in values):
                found.append(
                    f"{self.split}/{what.name}: has negative or infinite values, of which there is no harmonic mean"
                )
        return found

    def means(self) -> Floats:
        return self._sums_KC.sum(axis=1) / self._weights_KC.sum(axis=1)

    def resampled(self, key: str) -> tuple[Floats, Floats] | None:
        """Means of the parts `[B, K]` for the lower and for the upper end; None for fewer than two clusters.

        A part of which all clusters are alike is the same in every resample, which would claim certainty: it stands at
        the ends of its own interval (`alike`).
        """
        if self.clusters < 2:
            return None
        lows = resampled_means(self._sums_KC, self._weights_KC, key=key)
        highs = lows.copy()
        for place, what in enumerate(self.whats):
            if what.unit and np.ptp(lows[:, place]) < 1e-12:
                ends = alike(float(lows[0, place]), int((self._weights_KC[place] > 0).sum()), 0.0, 1.0)
                lows[:, place], highs[:, place] = ends
        return lows, highs

    @property
    def clusters(self) -> int:
        """How many source examples have a value of the part that the fewest have one of."""
        return int((self._weights_KC > 0).sum(axis=1).min())

    def count(self) -> int:
        """How many records any part scored."""
        rows = zip(*self._values, strict=True)
        return sum(any(value is not None and not math.isnan(value) for value in row) for row in rows)


def _interval(splits: Sequence[_SplitParts], name: str) -> Interval | None:
    resampled = [ends for split in splits if (ends := split.resampled(f"{split.split}/{name}"))]
    if len(resampled) < len(splits):
        return None
    means = [np.asarray(hmean(np.concatenate([part[side] for part in resampled], axis=1), axis=1)) for side in (0, 1)]
    fewest = min(split.clusters for split in splits)
    low, high = (percentile_interval(means[side], fewest)[side] for side in (0, 1))
    return (low, high) if low < high else None
