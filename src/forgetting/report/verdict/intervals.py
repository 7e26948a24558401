"""Statements about measures that use their intervals: lower, higher, or not told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.measure import Measure
from forgetting.runs.evaluation import Evaluation, Point
from forgetting.runs.results import Results

Relation = Literal["lower", "higher", "overlap", "unclear"]
"""`overlap`: the intervals meet. `unclear`: one of them has no interval."""


def relation(one: Measure, other: Measure) -> Relation:
    """How `one` compares with `other`: they differ only where their 95% intervals do not meet.

    That is stricter than a test of the difference, so it errs on the side of saying nothing.
    """
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return "unclear"
    if one.high < other.low:
        return "lower"
    return "higher" if one.low > other.high else "overlap"


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
        return "the suite has no such measure"
    if evaluation is None:
        return "the model was not measured at that point"
    measure = evaluation.measure(key)
    return (measure.reason or "no reason was given") if measure else "it is not part of that evaluation"


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a run's forget measure is from the oracle's value, with the range its own interval allows."""

    label: str
    measure: Measure
    value: float
    low: float
    high: float


def distance_to_oracle(label: str, run: Results, key: str | None) -> Distance | None:
    """|after − oracle| of the measure `key`; None without both.

    The oracle's own interval is left out: it is the same for all runs that are compared.
    """
    after, oracle = value_at(run.after, key), value_at(run.oracle_evaluation, key)
    if after is None or oracle is None:
        return None
    centre = amount(oracle)
    value = abs(amount(after) - centre)
    if after.low is None or after.high is None:
        return Distance(label, after, value, 0.0, float("inf"))
    ends = (abs(after.low - centre), abs(after.high - centre))
    inside = after.low <= centre <= after.high
    return Distance(label, after, value, 0.0 if inside else min(ends), max(ends))
