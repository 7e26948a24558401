"""The main table: start, oracle and every run against the measures that matter. For the page, the terminal and JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results, labels

RowKind = Literal["before", "oracle", "stage", "run"]


@dataclass(frozen=True, slots=True)
class Column:
    """One measure: its key, its words, which way is good, and what it means."""

    key: str
    split: str
    name: str
    title: str
    arrow: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as text; `reason` says why it is absent."""

    measure: Measure | None
    reason: str = ""
    spread: str = ""
    """Of a mean over runs: how far they spread."""
    words: str = ""
    """What stands in place of a number."""

    @property
    def value(self) -> str:
        """`words` or the number; a dash where there is neither."""
        return self.words or wording.value_text(self.measure)

    @property
    def interval(self) -> str:
        """The 95% interval, `0.812–0.934`; empty where there is none."""
        return wording.interval_text(self.measure)

    @property
    def count(self) -> str:
        """What the number rests on; empty without a measure."""
        return "" if self.measure is None else wording.count(self.measure.count)

    @property
    def plain(self) -> str:
        """Value, interval and spread for the terminal: `0.070 (0.041–0.112)`, `0.070 (0.041–0.112) ± 0.003`."""
        said = f"{self.value} ({self.interval})" if self.interval else self.value
        return f"{said} {self.spread}" if self.spread else said


@dataclass(frozen=True, slots=True)
class Row:
    """One model. `series` is the index of the run it belongs to, None for rows that several runs share."""

    kind: RowKind
    label: str
    note: str
    series: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of measures, rows of models."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def groups(self) -> list[tuple[str, int]]:
        """Neighbouring columns of one split: its name and their number."""
        return [(split, len(list(columns))) for split, columns in groupby(self.columns, key=lambda c: c.split)]

    def plain(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows of text, for a terminal."""
        headers = ["", *(f"{c.title} {c.arrow}".strip() for c in self.columns)]
        return headers, [[row.label, *(cell.plain for cell in row.cells)] for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """Plain values: `{"columns": [...], "rows": [{"label", "kind", "values": {key: {...}}}]}`."""
        return {
            "columns": [{"key": c.key, "title": c.title, "meaning": c.meaning} for c in self.columns],
            "rows": [
                {
                    "label": row.label,
                    "kind": row.kind,
                    "values": {c.key: _values(cell) for c, cell in zip(self.columns, row.cells, strict=True)},
                }
                for row in self.rows
            ],
        }


def main_table(runs: Sequence[Results], keys: Sequence[str] | None = None) -> Table:
    """Rows: the start, the oracle, then each run after unlearning (a stage each, if it has several).

    A start or an oracle that runs share is one row; where they differ, each run has its own. `keys` are the measures to
    show; by default those in front (`headline_measures.headline_keys`).
    """
    keys = headline_measures.headline_keys(runs) if keys is None else list(keys)
    names = labels(runs)
    rows = [*_shared("before", "before", runs, names, keys), *_shared("oracle", "oracle", runs, names, keys)]
    for index, (run, name) in enumerate(zip(runs, names, strict=True)):
        for stage in run.afters:
            if stage is not run.after:
                rows.append(_row("stage", f"{name}, after {stage.stage}", "", index, stage, keys))
        rows += _on_the_way(run, name, index, keys)
        rows.append(_row("run", name, _note(run), index, run.after, keys))
    return Table(tuple(column_of(runs, key) for key in keys), tuple(rows))


def _on_the_way(run: Results, name: str, index: int, keys: Sequence[str]) -> list[Row]:
    """Of a run that is not finished: its last evaluation, if that is in the middle of a stage."""
    last = run.evaluations[-1] if run.status == "unfinished" and run.evaluations else None
    if last is None or last.point != "epoch":
        return []
    return [_row("stage", f"{name}, step {last.step} of {last.stage}", "", index, last, keys)]


def column_of(runs: Sequence[Results], key: str) -> Column:
    """The column of a measure, in the words of one of the runs that have it."""
    measure = headline_measures.sample(runs, key)
    if measure is None:
        return Column(key, "", wording.plain(key), wording.plain(key), "", "")
    split = re.sub(r"(^|-)all$", r"\1overall", wording.plain(measure.split))
    return Column(
        key,
        split,
        wording.plain(measure.name),
        wording.title(measure),
        wording.ARROWS[measure.direction],
        measure.meaning,
    )


def _shared(
    kind: Literal["before", "oracle"], label: str, runs: Sequence[Results], names: Sequence[str], keys: Sequence[str]
) -> list[Row]:
    """One row per distinct evaluation, labelled with its runs if they do not all share it."""
    groups: list[tuple[Evaluation, list[int]]] = []
    for index, run in enumerate(runs):
        evaluation = run.before if kind == "before" else run.oracle_evaluation
        if evaluation is None:
            continue
        same = next((members for other, members in groups if _alike(other, evaluation, keys)), None)
        if same is None:
            groups.append((evaluation, [index]))
        else:
            same.append(index)
    rows = []
    for evaluation, members in groups:
        everyone = len(groups) == 1 and len(members) == len(runs)
        of = "" if everyone else f" of {wording.join([names[i] for i in members])}"
        rows.append(_row(kind, label + of, "", members[0] if len(members) == 1 < len(runs) else None, evaluation, keys))
    return rows


def _alike(one: Evaluation, other: Evaluation, keys: Sequence[str]) -> bool:
    def values(evaluation: Evaluation) -> list[tuple[float | None, int] | None]:
        return [(m.value, m.count) if (m := evaluation.measure(key)) else None for key in keys]

    return values(one) == values(other)


def _row(
    kind: RowKind, label: str, note: str, series: int | None, evaluation: Evaluation | None, keys: Sequence[str]
) -> Row:
    cells = []
    for key in keys:
        measure = evaluation.measure(key) if evaluation else None
        if evaluation is None:
            reason = "the run is not finished" if note == "unfinished" else "the run was not measured at its end"
        elif measure is None:
            reason = "not part of this evaluation"
        else:
            reason = "" if measure.value is not None else measure.reason or "no reason given"
        cells.append(Cell(measure, reason))
    return Row(kind, label, note, series, tuple(cells))


def _note(run: Results) -> str:
    return "" if run.status == "complete" else run.status


def _values(cell: Cell) -> dict[str, Any]:
    m = cell.measure
    if m is None or m.value is None:
        return {"value": None, "reason": cell.reason}
    return {"value": m.value, "low": m.low, "high": m.high, "count": m.count}
