"""A published number compared with ours: one run's measure with its interval, or the mean of several runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from forgetting.benchmarks.published.reader import Column, Row, Table
from forgetting.core.measure import Measure


@dataclass(frozen=True, slots=True)
class Ended:
    """The final results of one run."""

    folder: str
    measures: Mapping[str, Measure]
    """By `split/name`; the run's own figures as `stage/…`, `scoring/…`, `run/…`."""
    success: bool | None = None
    """Whether the stop rule was satisfied; None without a stop rule."""
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """Mean and sample standard deviation over runs, in the paper's unit."""

    mean: float
    deviation: float | None
    """None for a single run."""
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One cell: the printed and the measured value, both in the paper's unit."""

    published: float | None
    published_std: float | None = None
    """The printed standard deviation."""
    measured: float | None = None
    difference: float | None = None
    """measured − published."""
    low: float | None = None
    high: float | None = None
    """The measure's 95% interval, if one run is measured."""
    deviation: float | None = None
    """The standard deviation over runs, if there are several."""
    runs: int = 0
    """Number of runs averaged: those that reached their goal, if there was one."""
    over_all: Average | None = None
    """The mean over all runs, if some did not reach their goal."""
    reason: str = ""
    """Why nothing was measured."""
    erratum: str = ""


def compared(table: Table, row: Row, ended: Sequence[Ended]) -> dict[str, Compared]:
    """Every cell of a row. Runs that missed the goal of their stop rule are left out of the mean, as in the paper's
    figure, and the mean over all is shown as well."""
    return {column.key: _cell(column, row, ended) for column in table.columns}


def _cell(column: Column, row: Row, ended: Sequence[Ended]) -> Compared:
    printed = row.values[column.key]
    plain = Compared(published=printed.value, published_std=printed.std, erratum=printed.erratum)
    if not ended:
        return plain
    successful = [e for e in ended if e.success is not False]
    all_values, values = _values(column, ended), _values(column, successful)
    over_all = _average(all_values) if len(successful) < len(ended) else None
    if not values:
        return replace(plain, reason=_why(column, ended, successful), over_all=over_all)
    average = _average(values)
    assert average is not None, "there are values"
    low, high = _interval(column, successful) if average.deviation is None else (None, None)
    return replace(
        plain,
        measured=average.mean,
        difference=None if printed.value is None else average.mean - printed.value,
        low=low,
        high=high,
        deviation=average.deviation,
        runs=len(values),
        over_all=over_all,
    )


def _values(column: Column, ended: Sequence[Ended]) -> list[float]:
    found = [measured(column, e) for e in ended]
    return [m.value * column.scale for m in found if m is not None and m.value is not None]


def measured(column: Column, ended: Ended) -> Measure | None:
    """The run's measure of a column; None if its recipe does not give it.

    Several measures give their plain mean, missing if one of them is; its interval assumes independence.
    """
    known = [ended.measures[key] for key in column.measures if key in ended.measures]
    if not known or len(known) < len(column.measures):
        return None
    if len(known) == 1:
        return known[0]
    values = [m.value for m in known if m.value is not None]
    if len(values) < len(known):
        return replace(next(m for m in known if m.value is None), count=0)
    value = statistics.fmean(values)
    halves = [m.high - m.value for m in known if m.high is not None and m.value is not None]
    half = math.hypot(*halves) / len(known) if len(halves) == len(known) else None
    return Measure(
        name=column.key,
        split="mean",
        value=value,
        count=sum(m.count for m in known),
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        direction=known[0].direction,
        meaning=f"mean of {', '.join(column.measures)}",
    )


def _average(values: Sequence[float]) -> Average | None:
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Average(mean=statistics.fmean(values), deviation=deviation, runs=len(values))


def _interval(column: Column, ended: Sequence[Ended]) -> tuple[float | None, float | None]:
    """The interval of the one run that has a value."""
    measure = next(m for e in ended if (m := measured(column, e)) and m.value is not None)
    if measure.low is None or measure.high is None:
        return None, None
    return measure.low * column.scale, measure.high * column.scale


def _why(column: Column, ended: Sequence[Ended], successful: Sequence[Ended]) -> str:
    if column.unmeasured:
        return column.unmeasured
    if not successful:
        return f"none of {len(ended)} runs reached the goal"
    known = [m for e in successful if (m := measured(column, e))]
    return known[0].reason if known else f"the recipe does not measure {absent(column, successful[0])}"


def absent(column: Column, ended: Ended) -> str:
    """The measures of a column that a run does not give."""
    return ", ".join(key for key in column.measures if key not in ended.measures)
