"""Whether rare and popular facts are forgotten alike: what was lost of each against the logarithm of its popularity.

DUET compares a forget set of rare facts with one of popular facts; their relations and answers differ as well (457 of
its 482 popular rows ask for a country, 297 have the answer India). Here, intervals are clustered by answer, and every
comparison is repeated among facts of one relation and answer. Generation and probability are compared with each
other because they need not agree on which facts are gone (Krishnan et al. 2025, Not all data are unlearned equally).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.core.series import Series
from forgetting.metrics.likelihood import probability
from forgetting.metrics.metric import Splits
from forgetting.metrics.per_example import PerExample, measure
from forgetting.metrics.slopes import Points, merged_clusters, slope, slope_within_halves, upper_less_lower
from forgetting.metrics.statistics import Estimate, estimate_mean
from forgetting.metrics.text import exact_match, normalized, rouge_l_recall

RIGHT = 0.5
"""An answer counts as said with at least this ROUGE-L recall, as in the report's tables."""
GONE = 0.5
"""An answer counts as no longer likely below this part of the probability that it had."""
_BINS = 6
_LEVELS = (probability, rouge_l_recall, exact_match)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How one number of a fact depends on the fact's popularity."""

    outcome: str
    meaning: str
    rare: Measure
    """Its mean over the facts of at most the median popularity."""
    popular: Measure
    """Over those above it."""
    difference: Measure
    """Popular less rare."""
    slope: Measure
    """Per tenfold popularity."""
    matched_difference: Measure
    """Popular less rare among facts of one relation and answer."""
    matched_slope: Measure
    within_slope: Measure | None = None
    """Per tenfold popularity within the rare facts and within the popular facts, so that whatever else differs between
    these groups is no part of it. None in files of earlier versions."""
    p: float | None = None
    """Of the slope, see `metrics.slopes.Slope`."""
    matched_p: float | None = None
    within_p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByPopularity:
    """One split's effects of popularity, and the points of its figure."""

    split: str
    changes: bool
    """Whether the effects are on what was lost since the model before, not on what one model knows."""
    median: float
    """The popularity up to which a fact counts as rare."""
    left_out: int
    """Records without a popularity above 0, which has no logarithm."""
    unknown: int = 0
    """Of changes: facts that the model did not say before, so that it could not stop saying them; left out too."""
    effects: tuple[Effect, ...] = ()
    series: tuple[Series, ...] = ()


class _Fact(NamedTuple):
    before: Record | None
    after: Record

    @property
    def popularity(self) -> float:
        return self.after.popularity or 0.0


_Outcome = tuple[str, str, Callable[[_Fact], float | None]]


def by_popularity(records: Splits, before: Splits | None, splits: Sequence[str]) -> tuple[ByPopularity, ...]:
    """The effects of popularity in each of `splits` whose records differ in popularity; none for the others.

    Changes are of facts that the model said before (ROUGE-L recall of at least `RIGHT`): one that did not know a fact
    cannot forget it, and rare facts are known less. Of records without a greedy answer, all count.

    Args:
        records: of one model, with their texts.
        before: of the model before, on the same examples; None: the levels of the one model are taken, not changes.
        splits: by name.
    """
    found = [
        _of_split(name, records.get(name, ()), None if before is None else before.get(name, ())) for name in splits
    ]
    return tuple(one for one in found if one is not None)


def _of_split(split: str, records: Sequence[Record], before: Sequence[Record] | None) -> ByPopularity | None:
    earlier = {record.id: record for record in before or ()}
    met = [_Fact(earlier.get(r.id), r) for r in records if before is None or r.id in earlier]
    facts = [fact for fact in met if 0 < fact.popularity < math.inf]
    if len({fact.popularity for fact in facts}) < 2:
        return None
    changes = before is not None
    known = [fact for fact in facts if _said(fact.before) is not False] if changes else facts
    median = float(np.median([fact.popularity for fact in known or facts]))
    return ByPopularity(
        split=split,
        changes=changes,
        median=median,
        left_out=len(met) - len(facts),
        unknown=len(facts) - len(known),
        effects=tuple(_effect(split, one, known) for one in (_CHANGES if changes else _KNOWN)),
        series=tuple(_figure(facts, changes)),
    )


def _said(record: Record | None) -> bool | None:
    """Whether the greedy answer holds the right one; None if none was asked for."""
    found = None if record is None else rouge_l_recall.value_of(record)
    return None if found is None else found >= RIGHT


def _forgotten(fact: _Fact) -> float | None:
    before, after = _said(fact.before), _said(fact.after)
    return None if before is None or after is None else float(not after)


def _unlikely(fact: _Fact) -> bool | None:
    before, after = _two(probability, fact)
    return None if before is None or after is None else after < GONE * before


def _disagreement(fact: _Fact) -> float | None:
    forgotten, unlikely = _forgotten(fact), _unlikely(fact)
    return None if forgotten is None or unlikely is None else float(bool(forgotten) != unlikely)


def _lost_probability(fact: _Fact) -> float | None:
    before, after = _two(probability, fact)
    if before is None or after is None:
        return None
    return (before - after) / max(before, after) if max(before, after) > 0 else 0.0


def _two(what: PerExample, fact: _Fact) -> tuple[float | None, float | None]:
    return (None if fact.before is None else what.value_of(fact.before)), what.value_of(fact.after)


def _lost(what: PerExample) -> Callable[[_Fact], float | None]:
    def lost(fact: _Fact) -> float | None:
        before, after = _two(what, fact)
        return None if before is None or after is None else before - after

    return lost


def _level(what: PerExample) -> Callable[[_Fact], float | None]:
    return lambda fact: what.value_of(fact.after)


_CHANGES: tuple[_Outcome, ...] = (
    ("forgotten", "Share of the facts said before that the greedy answer no longer holds.", _forgotten),
    (
        "probability_lost",
        "Of the right answer's probability, the part that is gone: the change over the larger of both. 1 = all of it.",
        _lost_probability,
    ),
    ("rouge_l_recall_lost", "ROUGE-L recall before less after.", _lost(rouge_l_recall)),
    ("exact_match_lost", "Exact match before less after.", _lost(exact_match)),
    (
        "disagreement",
        "Share of the facts that are no longer said but at least half as likely, or still said but less likely.",
        _disagreement,
    ),
)
_KNOWN: tuple[_Outcome, ...] = tuple((what.name, what.meaning, _level(what)) for what in _LEVELS)


def _effect(split: str, outcome: _Outcome, facts: Sequence[_Fact]) -> Effect:
    name, meaning, value_of = outcome
    values = [(fact, value) for fact in facts if (value := value_of(fact)) is not None and np.isfinite(value)]
    clusters = clusters_of([fact.after for fact, _ in values])
    x_N = np.log10(np.array([fact.popularity for fact, _ in values], dtype=np.float64))
    y_N = np.array([value for _, value in values], dtype=np.float64)
    within = [n for n, (fact, _) in enumerate(values) if fact.after.kind and fact.after.answer]
    everything = Points(x_N, y_N, clusters)
    strata = [f"{values[n][0].after.kind}\0{normalized(values[n][0].after.answer)}" for n in within]
    matched = Points(x_N[within], y_N[within], [clusters[n] for n in within], strata)
    unit = not name.endswith("_lost")

    def named(part: str, says: str, estimate: Callable[[str], Estimate]) -> Measure:
        full = f"{name}_{part}"
        found = estimate(f"{split}/{full}")
        return measure(
            found,
            name=full,
            split=split,
            direction="none",
            meaning=f"{meaning} {says}",
            absent="no fact with a popularity has this number",
        )

    def mean_of(upper: bool) -> Callable[[str], Estimate]:
        half = np.flatnonzero(everything.is_upper_N == upper)
        return lambda key: estimate_mean([float(y_N[n]) for n in half], [clusters[n] for n in half], key=key, unit=unit)

    plain, same = slope(everything, key=f"{split}/{name}_slope"), slope(matched, key=f"{split}/{name}_matched_slope")
    apart = slope_within_halves(everything, key=f"{split}/{name}_within_slope")
    among = "among facts of one relation and answer."
    return Effect(
        outcome=name,
        meaning=meaning,
        rare=named("rare", "Facts of at most the median popularity.", mean_of(False)),
        popular=named("popular", "Facts above the median popularity.", mean_of(True)),
        difference=named(
            "popular_less_rare", "Popular facts less rare ones.", lambda key: upper_less_lower(everything, key=key)
        ),
        slope=named("slope", "Change per tenfold popularity.", lambda _: plain.estimate),
        matched_difference=named(
            "matched_popular_less_rare",
            f"Popular facts less rare ones, {among}",
            lambda key: upper_less_lower(matched, key=key),
        ),
        matched_slope=named("matched_slope", f"Change per tenfold popularity, {among}", lambda _: same.estimate),
        within_slope=named(
            "within_slope",
            "Change per tenfold popularity within the rare facts and within the popular facts.",
            lambda _: apart.estimate,
        ),
        p=plain.p,
        matched_p=same.p,
        within_p=apart.p,
    )


def clusters_of(records: Sequence[Record]) -> list[str]:
    """Clusters of records that share an answer or a source example: facts of one answer are not lost independently."""
    return merged_clusters([normalized(r.answer) for r in records], [r.group for r in records])


def _figure(facts: Sequence[_Fact], changes: bool) -> list[Series]:
    """Levels of the models before and after in bins of popularity, over all facts that have one."""
    bins = _bins(facts)
    points: Mapping[str, Callable[[_Fact], Record | None]] = {"after": lambda fact: fact.after}
    if changes:
        points = {"before": lambda fact: fact.before, **points}
    drawn = [(what, point, record_of) for what in _LEVELS for point, record_of in points.items()]
    found = [_line(what, point, record_of, bins) for what, point, record_of in drawn]
    return [series for series in found if any(y is not None for y in series.y)]


def _line(
    what: PerExample, point: str, record_of: Callable[[_Fact], Record | None], bins: Sequence[Sequence[_Fact]]
) -> Series:
    means = []
    for number, members in enumerate(bins):
        records = [record for fact in members if (record := record_of(fact)) is not None]
        values = [what.value_of(record) for record in records]
        means.append(estimate_mean(values, clusters_of(records), key=f"{what.name}/{number}", unit=what.unit))
    return Series(
        figure=what.name,
        name=point,
        x_label="popularity",
        y_label=what.name,
        x=tuple(float(10 ** np.mean(np.log10([fact.popularity for fact in members]))) for members in bins),
        y=tuple(one.value for one in means),
        low=tuple(one.low for one in means),
        high=tuple(one.high for one in means),
    )


def _bins(facts: Sequence[_Fact]) -> list[list[_Fact]]:
    """About equally large bins from rare to popular; equally popular facts are in one."""
    popularity = [fact.popularity for fact in facts]
    edges = np.unique(np.quantile(popularity, np.linspace(0, 1, _BINS + 1)))
    found = [
        [fact for fact in facts if low < fact.popularity <= high or (place == 0 and fact.popularity == low)]
        for place, (low, high) in enumerate(pairwise(edges))
    ]
    return [members for members in found if members]
