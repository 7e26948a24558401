"""Statements about measures that use their intervals: lower, higher, or not told apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.measure import Measure
from forgetting.metrics.share import LEAST, ends, is_share
from forgetting.metrics.statistics import FEWEST, Estimate
from forgetting.report import wording
from forgetting.report.verdict.paired import Side, paired
from forgetting.runs.evaluation import Evaluation, Point
from forgetting.runs.results import Results

Relation = Literal["lower", "higher", "overlap", "unclear"]
"""`overlap`: not told apart. `unclear`: there is nothing to tell a difference from noise by."""

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Contrast:
    """How one value compares with another, and what decided it."""

    relation: Relation
    pairs: Estimate | None = None
    """The paired difference; None where intervals decided."""

    @property
    def slight(self) -> Relation:
        """Which way a difference goes that is shown, but is too small to be counted; `overlap` where there is none."""
        e = self.pairs
        if self.relation != "overlap" or e is None or e.low is None or e.high is None:
            return "overlap"
        return "lower" if e.high < 0 else "higher" if e.low > 0 else "overlap"

    @property
    def words(self) -> str:
        """`paired on 78 examples: −0.070 (−0.091 … −0.049)`; empty where intervals decided."""
        e = self.pairs
        if e is None or e.low is None or e.high is None:
            return ""
        return f"paired on {wording.count(e.count)} examples: {signed(e.value)} ({signed(e.low)} … {signed(e.high)})"


def contrast(key: str, one: Side, other: Side, *, only: Collection[str] | None = None) -> Contrast:
    """How `one` compares with `other`: by the paired difference where both kept records, else by their intervals.

    `only`: on the examples with these ids, whose intervals are not known.
    """
    first, second = one.value(key), other.value(key)
    if first is None or second is None:
        return Contrast("unclear")
    estimate = paired(key, one, other, only)
    if estimate.low is None or estimate.high is None:
        return Contrast(relation(first, second) if only is None else "unclear")
    if is_share(first) and is_share(second) and abs(estimate.value or 0.0) < LEAST:
        return Contrast("overlap", estimate)
    how: Relation = "lower" if estimate.high < 0 else "higher" if estimate.low > 0 else "overlap"
    return Contrast(how, estimate)


def relation(one: Measure, other: Measure) -> Relation:
    """How `one` compares with `other` where nothing is paired: they differ only if their 95% intervals do not meet.

    That is stricter than a test of the difference, so it errs on the side of saying nothing. So does it where a measure
    rests on too few examples to show any difference.
    """
    first, second = ends(one), ends(other)
    if first is None or second is None or min(one.count, other.count) < FEWEST:
        return "unclear"
    if first[1] < second[0]:
        return "lower"
    return "higher" if first[0] > second[1] else "overlap"


def signed(value: float | None) -> str:
    """`+0.120`; three decimals below 1, as values have; what differs by rounding alone is 0."""
    if value is not None and abs(value) < _ROUNDING:
        return "0.000"
    if value is None or abs(value) > 1 or 0 < abs(value) < LEAST / 2:
        return ("+" if value is not None and value > 0 else "") + wording.number(value)
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}") if round(value, 3) else "0.000"


def value_at(evaluation: Evaluation | None, key: str | None) -> Measure | None:
    """The measure, if it was measured and has a value."""
    measure = evaluation.measure(key) if evaluation and key else None
    return measure if measure and measure.value is not None else None


def amount(measure: Measure) -> float:
    """The value of a measure that has one, as those of `value_at` do."""
    assert measure.value is not None
    return measure.value


@dataclass(frozen=True, slots=True)
class Stop:
    """One evaluation on the way of a run, with the measures that were asked for."""

    step: int
    """Over all stages: a stage continues where the one before it ended."""
    point: Point
    measures: tuple[Measure, ...]


def way(run: Results, keys: Sequence[str | None]) -> list[Stop]:
    """The start, the measured steps and the checkpoints that were kept, by step, where all `keys` have a value."""
    offset, offsets = 0, {}
    for stage in run.stages:
        offsets[stage.name] = offset
        offset += stage.steps
    stops = []
    for e in run.evaluations:
        measures = tuple(m for key in keys if (m := value_at(e, key)))
        if e.point != "oracle" and len(measures) == len(keys):
            stops.append(Stop(e.step + offsets.get(e.stage or "", 0), e.point, measures))
    return sorted(stops, key=lambda stop: stop.step)


def reason_at(evaluation: Evaluation | None, key: str | None) -> str:
    """Why `value_at` gives nothing."""
    if key is None:
        return "no suite declares such a measure"
    if evaluation is None:
        return "the model was not measured at that point"
    measure = evaluation.measure(key)
    return (measure.reason or "no reason was given") if measure else "it is not part of that evaluation"
