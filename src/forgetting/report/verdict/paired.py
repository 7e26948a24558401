"""Differences between two models on the same examples: what decides a sentence wherever records were kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

import numpy as np

from forgetting.core.errors import DataError, RunError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.changes import difference, mean_change
from forgetting.metrics.dialogue import dialogue_f1
from forgetting.metrics.extraction import extraction_likelihood, extraction_strength, sequence_tokens
from forgetting.metrics.likelihood import (
    memorization_accuracy,
    option_probability,
    probability,
    teacher_forced_exact_match,
)
from forgetting.metrics.per_example import PerExample
from forgetting.metrics.score import by_split
from forgetting.metrics.statistics import Estimate, estimate_mean
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall
from forgetting.metrics.truth_ratio import truth_ratio_forget, truth_ratio_utility
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results

_PER_EXAMPLE = {
    what.name: what
    for what in (
        dialogue_f1,
        exact_match,
        extraction_strength,
        memorization_accuracy,
        option_probability,
        probability,
        rouge_l_f1,
        rouge_l_recall,
        sequence_tokens,
        teacher_forced_exact_match,
        truth_ratio_forget("mean_loss"),
        truth_ratio_forget("mean_probability"),
        truth_ratio_utility("mean_loss"),
        truth_ratio_utility("mean_probability"),
    )
}
"""Measures that are means over examples, by name."""

_UNTOLD = "the run does not say which of its records are of this set"

_HIDDEN = "texts are redacted, and hashes of another split or folder do not show that the same ids are one question"


class Side:
    """One model of a run: its measures and, read once and only where they are needed, its records."""

    def __init__(self, run: Results, evaluation: Evaluation | None) -> None:
        self.run, self.evaluation = run, evaluation

    @cached_property
    def records(self) -> Mapping[str, Sequence[Record]]:
        """By split; empty where none were kept, or they cannot be read: then intervals decide."""
        try:
            return by_split(self.run.records(self.evaluation))
        except (DataError, RunError):
            return {}

    def value(self, key: str | None) -> Measure | None:
        """The measure, if it was measured and has a value."""
        measure = self.evaluation.measure(key) if self.evaluation and key else None
        return measure if measure and measure.value is not None else None


def paired(key: str, one: Side, other: Side, only: Collection[str] | None = None) -> Estimate:
    """The measure of `one` less that of `other` on the examples that both measured; else the reason for none.

    `only`: on the examples with these ids.
    """
    (what, after), (_, before) = found = _values_of(key, one), _values_of(key, other)
    absent = next((reason for _, reason in found if isinstance(reason, str)), None)
    if absent is not None or what is None or isinstance(after, str) or isinstance(before, str):
        return Estimate(None, 0, reason=absent or "not a mean over examples")
    earlier = {record.id: record for record in before}
    after = [record for record in after if only is None or record.id in only]
    same = [record for record in after if record.id in earlier and same_question(record, earlier[record.id])]
    if not same:
        return Estimate(None, 0, reason=_unlike(after, earlier))
    try:
        # The seed is the measure's name: a label before a split changes names and no number.
        return difference(same, [earlier[r.id] for r in same], _value(what), key=what.name, unit=what.unit)
    except DataError as error:
        return Estimate(None, 0, reason=str(error))


def _unlike(after: Sequence[Record], earlier: Mapping[str, Record]) -> str:
    """Why none of the records is of an example that both sides have."""
    met = [record for record in after if record.id in earlier]
    if not met:
        return "no example in common"
    hidden = any(record.redacted is not None for record in met)
    return _HIDDEN if hidden else "the same ids are other questions"


def below(key: str, one: Side, other: Side, part: float) -> bool | None:
    """Whether `one` is shown to have less than `part` of what `other` has, on the examples that both measured.

    The mean over clusters of one - part * other (`mean_change`). None where they cannot be paired.
    """
    rows = matched(key, (one, other))
    if rows is None:
        return None
    excess = [now - part * then for _, (now, then) in rows]
    found = mean_change(excess, [cluster for cluster, _ in rows], key=key.partition("/")[2])
    return found.high is not None and found.high < 0


def matched(
    key: str, sides: Sequence[Side], only: Collection[str] | None = None
) -> list[tuple[str, tuple[float, ...]]] | None:
    """Cluster and values of every example that all sides scored; None where one of them gives no values.

    `only`: of the examples with these ids.
    """
    tables = []
    for side in sides:
        what, found = _values_of(key, side)
        if what is None or isinstance(found, str):
            return None
        value_of = _value(what)
        found = [r for r in found if only is None or r.id in only]
        tables.append({(r.id, r.prompt, r.answer): (r.cluster, v) for r in found if (v := value_of(r)) is not None})
    shared = [place for place in tables[0] if all(place in table for table in tables)]
    rows = [(tables[0][place][0], tuple(table[place][1] for table in tables)) for place in shared]
    return [row for row in rows if not any(math.isnan(v) for v in row[1])] or None


def members(key: str, side: Side) -> list[Record]:
    """The records that a measure of a split, or of one kind of it, rests on; none where none were kept.

    Those of a subset are among the records of the split that it is of.
    """
    split, _, name = key.partition("/")
    _, bracket, kind = name.removesuffix("]").partition("[")
    subset = side.run.subsets.get(split)
    ids = None if subset is None else {*subset.ids}
    found = side.records.get(split if subset is None else subset.of, ())
    return [r for r in found if (ids is None or r.id in ids) and (not bracket or r.kind == kind)]


def mean_of(key: str, side: Side, only: Collection[str]) -> Estimate:
    """The measure on the examples with these ids; else the reason for none."""
    what, found = _values_of(key, side)
    if what is None or isinstance(found, str):
        return Estimate(None, 0, reason=found if isinstance(found, str) else "not a mean over examples")
    those, value_of = [record for record in found if record.id in only], _value(what)
    clusters = [record.cluster for record in those]
    return estimate_mean([value_of(r) for r in those], clusters, key=what.name, unit=what.unit)


def same_question(one: Record, other: Record) -> bool:
    """Whether two records are of one example."""
    return (one.prompt, one.answer) == (other.prompt, other.answer)


def _values_of(key: str, side: Side) -> tuple[PerExample | None, Sequence[Record] | str]:
    """What one record of the measure is worth, and its records; or why there is no such thing.

    That the records' mean is the measure's value is checked: a metric of another kind may bear the same name.
    """
    measure = side.evaluation.measure(key) if side.evaluation else None
    if measure is None:
        return None, "it is not part of that evaluation"
    what = _per_example(measure.name.partition("[")[0])
    if what is None:
        return None, "not a mean over examples"
    found = members(key, side)
    if not found:
        return what, _UNTOLD if side.records else "no records were kept"
    if measure.value is None:
        return what, measure.reason or "no value"
    value_of = _value(what)
    values = [v for r in found if (v := value_of(r)) is not None and not math.isnan(v)]
    if not values or not math.isclose(float(np.mean(values)), measure.value, rel_tol=1e-6, abs_tol=1e-9):
        return what, "its records do not give its value again"
    return what, found


def _per_example(name: str) -> PerExample | None:
    extraction = re.fullmatch(r"el_(\d+)", name)
    return extraction_likelihood(int(extraction[1])) if extraction else _PER_EXAMPLE.get(name)


def _value(what: PerExample) -> Callable[[Record], float | None]:
    """Its value of a record; of a redacted one, whose texts are hashes, what was computed of the texts."""

    def value_of(record: Record) -> float | None:
        known = record.redacted or {}
        return known[what.name] if what.name in known else what.value_of(record)

    return value_of
