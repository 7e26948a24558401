"""A sweep as one table: a row per point of the axes that are not averaged over, mean ± std in each cell."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from forgetting.core.measure import Measure
from forgetting.metrics.forget_quality import names_p_value
from forgetting.report import wording
from forgetting.runs.sweep import SweepResults, SweepRun

Over = Literal["all", "successful"]


@dataclass(frozen=True, slots=True)
class Statistic:
    """Mean and sample standard deviation (divisor n − 1) over the runs that have a value.

    p-values are averaged by their logarithms: the mean is the geometric one, the spread a factor. An arithmetic mean is
    that of the largest p-value alone, so one seed in three would hide two that a test tells from the oracle.
    """

    values: tuple[float, ...]
    reason: str = ""
    """Why there is none."""
    p_value: bool = False

    @property
    def n(self) -> int:
        """Runs that have a value."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """None without values; of p-values the geometric mean, 0 where one is 0."""
        if not self.values:
            return None
        if self.p_value:
            return math.exp(math.fsum(map(math.log, self.values)) / self.n) if min(self.values) > 0 else 0.0
        return math.fsum(self.values) / self.n

    @property
    def std(self) -> float | None:
        """None for fewer than two values; of p-values that of their logarithms to base 10, None where one is 0."""
        if self.n < 2 or (self.p_value and min(self.values) <= 0):
            return None
        return statistics.stdev(map(math.log10, self.values) if self.p_value else self.values)

    @property
    def bar(self) -> tuple[float, float]:
        """One standard deviation to each side of the mean."""
        mean, std = self.mean or 0.0, self.std or 0.0
        return (mean / 10**std, min(mean * 10**std, 1.0)) if self.p_value else (mean - std, mean + std)

    @property
    def mean_text(self) -> str:
        """The mean, or a dash."""
        return wording.ABSENT if self.mean is None else self._said(self.mean)

    @property
    def spread_text(self) -> str:
        """`± 0.012 (3)`: standard deviation and number of runs; of p-values a factor, `×÷ 3.1 (3)`."""
        factor = f"×÷ {wording.number(10**self.std)} " if self.p_value and self.std is not None else ""
        spread = factor or ("" if self.std is None else f"± {self._said(self.std)} ")
        return f"{spread}({self.n})" if self.values else ""

    @property
    def text(self) -> str:
        """`0.070 ± 0.012 (3)`."""
        return f"{self.mean_text} {self.spread_text}".rstrip()

    def _said(self, value: float) -> str:
        return wording.number(value) if self.p_value else wording.amount_text(value)


@dataclass(frozen=True, slots=True)
class Row:
    """One point of the shown axes, over all of its runs or over the successful ones."""

    point: Mapping[str, str]
    over: Over
    runs: tuple[SweepRun, ...]
    """All of the point, whatever became of them."""
    series: int
    """Place of its label on the first shown axis: its colour."""
    epochs: Statistic
    cells: tuple[Statistic, ...]

    @property
    def label(self) -> str:
        """`LoKU · 16`."""
        return " · ".join(self.point.values()) or "all"

    @property
    def judged(self) -> list[bool]:
        """Of the runs with a stop rule, whether they satisfied it."""
        return [run.success for run in self.runs if run.success is not None]

    @property
    def success(self) -> str:
        """`2 of 3`."""
        return f"{sum(self.judged)} of {len(self.judged)}" if self.judged else wording.ABSENT

    @property
    def ended(self) -> list[SweepRun]:
        """The runs that have measures."""
        return [run for run in self.runs if run.status not in ("failed", "not run")]


@dataclass(frozen=True, slots=True)
class SweepTable:
    """Rows of points, columns of measures."""

    axes: tuple[str, ...]
    replicates: tuple[str, ...]
    with_success: bool
    keys: tuple[str, ...]
    titles: tuple[str, ...]
    anchors: Mapping[str, tuple[Measure | None, ...]]
    """See `SweepResults.anchors`."""
    rows: tuple[Row, ...]

    def note(self, row: Row) -> str:
        """Which runs of a row did not go to their end: `seed 1 failed, seed 2 collapsed`."""
        return ", ".join(f"{self.replicate(run)} {run.status}" for run in row.runs if run.status != "complete")

    def replicate(self, run: SweepRun) -> str:
        """`seed 1`."""
        return " ".join(f"{axis} {run.point[axis]}" for axis in self.replicates) or "the run"

    def plain(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows of text, for a terminal; standard deviations are over runs, n is in brackets."""
        extra = ["over", "success", "epochs"] if self.with_success else []
        blank = len(self.axes) + len(extra)
        rows = [
            [name, *[""] * blank, *(wording.value_text(m) for m in measures), ""]
            for name, measures in self.anchors.items()
        ]
        for row in self.rows:
            middle = [row.over, row.success, row.epochs.text] if self.with_success else []
            said = [f"{len(row.ended)} of {len(row.runs)}", *middle, *(cell.text for cell in row.cells)]
            rows.append([*row.point.values(), *said, self.note(row)])
        return [*self.axes, "runs", *extra, *self.titles, "note"], rows

    def as_json(self) -> dict[str, Any]:
        """Plain values of every row."""
        rows = []
        for row in self.rows:
            cells = zip(self.keys, row.cells, strict=True)
            values: dict[str, Any] = {
                "point": dict(row.point),
                "over": row.over,
                "runs": len(row.runs),
                "measured": len(row.ended),
            }
            if self.with_success:
                rate = sum(row.judged) / len(row.judged) if row.judged else None
                values |= {"success_rate": rate, "judged": len(row.judged), "epochs": _plain(row.epochs)}
            rows.append({**values, "note": self.note(row), "values": {key: _plain(cell) for key, cell in cells}})
        anchors = {
            name: {key: None if m is None else m.value for key, m in zip(self.keys, measures, strict=True)}
            for name, measures in self.anchors.items()
        }
        return {"axes": list(self.axes), "replicates": list(self.replicates), **anchors, "rows": rows}

    def as_csv(self) -> str:
        """One line per row; mean, std and n of every measure are columns of their own, empty where missing."""
        rows = []
        for row in self.as_json()["rows"]:
            flat = {**row["point"], **{k: row[k] for k in ("over", "runs", "measured")}}
            if self.with_success:
                flat |= {"success_rate": row["success_rate"], "judged": row["judged"]}
                flat |= {f"epochs {k}": row["epochs"][k] for k in ("mean", "std", "n")}
            for key, cell in row["values"].items():
                flat |= {f"{key} {k.replace('_', ' ')}": value for k, value in cell.items() if k != "reason"}
            rows.append({**flat, "note": row["note"]})
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()


def _plain(cell: Statistic) -> dict[str, Any]:
    names = ("geometric_mean", "std_log10") if cell.p_value else ("mean", "std")
    found: dict[str, Any] = {names[0]: cell.mean, names[1]: cell.std, "n": cell.n}
    return {**found, "reason": cell.reason} if cell.reason else found


def sweep_table(results: SweepResults, *, whole: bool = False) -> SweepTable:
    """The table; where runs have a stop rule, every point has one row over all runs and one over the successful.

    Args:
        results: of a sweep.
        whole: with every measure of its runs, those of the columns first: for other programs.
    """
    if whole:
        every = dict.fromkeys([*results.columns, *(m.key for run in results.runs for m in run.measures)])
        results = replace(results, columns=tuple(every))
    groups: dict[tuple[str, ...], list[SweepRun]] = {}
    for run in results.runs:
        groups.setdefault(tuple(run.point[axis] for axis in results.shown_axes), []).append(run)
    bases: tuple[Over, ...] = ("all", "successful") if results.has_success else ("all",)
    rows = [_row(results, labels, tuple(runs), over) for labels, runs in groups.items() for over in bases]
    titles = tuple(_title(results, key) for key in results.columns)
    return SweepTable(
        results.shown_axes,
        results.replicates,
        results.has_success,
        results.columns,
        titles,
        results.anchors,
        tuple(rows),
    )


def _row(results: SweepResults, labels: Sequence[str], runs: tuple[SweepRun, ...], over: Over) -> Row:
    point = dict(zip(results.shown_axes, labels, strict=True))
    members = runs if over == "all" else tuple(run for run in runs if run.success)
    series = results.axes[results.shown_axes[0]].index(labels[0]) if labels else 0
    epochs = Statistic(tuple(run.epochs for run in members if run.epochs is not None), "")
    return Row(point, over, runs, series, epochs, tuple(_cell(members, key, over) for key in results.columns))


def _cell(runs: Sequence[SweepRun], key: str, over: Over) -> Statistic:
    found = [m for run in runs if (m := run.measure(key))]
    p_value = names_p_value(key.partition("/")[2])
    values = tuple(m.value for m in found if m.value is not None)
    if values:
        return Statistic(values, p_value=p_value)
    if not runs:
        return Statistic((), p_value=p_value, reason=f"there is no {'successful ' if over == 'successful' else ''}run")
    measured = [run for run in runs if run.measures]
    reasons = list(dict.fromkeys(m.reason for m in found if m.reason))
    absent = "; ".join(reasons) or ("not part of the evaluation" if measured else "no run was measured")
    return Statistic((), absent, p_value)


def _title(results: SweepResults, key: str) -> str:
    measure = results.sample(key)
    if measure is None:
        return wording.plain(key)
    return wording.heading(measure) + (" (geometric mean)" if wording.is_p_value(measure) else "")
