"""A board for papers, notebooks and other programs: LaTeX, Markdown, CSV and plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from forgetting.core.text import marked
from forgetting.report.board.attacks import VERDICT
from forgetting.report.board.board import Board, BoardTable, heading_of
from forgetting.report.exported import as_latex, as_markdown
from forgetting.report.table import Table


def as_json(found: Board) -> dict[str, Any]:
    """Plain values."""
    return {
        "tables": [
            {
                "suite": one.first.suite,
                "model": one.first.model,
                "apart": list(one.apart),
                **one.table.as_json(),
                "methods": [
                    {
                        "label": row.label,
                        "seeds": [entry.seed for entry in row.entries],
                        "runs": [str(entry.run.folder) for entry in row.entries],
                    }
                    for row in one.rows
                ],
                "best": {
                    key: {"first": one.rows[b.first].label, "not_told_apart": [one.rows[i].label for i in b.tied]}
                    for key, b in one.best.items()
                    if b.first is not None
                },
                "verdicts": _verdicts(one),
                "settings": {key: dict(values) for key, values in one.differing},
            }
            for one in found.tables
        ],
        "left_out": {one.name: one.reason for one in found.left_out},
    }


def _verdicts(one: BoardTable) -> dict[str, str]:
    place = next((i for i, column in enumerate(one.table.columns) if column is VERDICT), None)
    ends = [row for row in one.table.rows if row.kind == "run"]
    return {} if place is None else {row.label: row.cells[place].words or row.cells[place].reason for row in ends}


def _as_csv(found: Board) -> str:
    """A line for each cell of each table, in full precision; an absent value is empty and has its reason."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    heads = ["table", "row", "kind", "split", "measure", "value", "low", "high", "count", "spread", "better", "reason"]
    write.writerow(heads)
    for place, one in enumerate(found.tables, 1):
        for row in one.table.rows:
            for column, cell in zip(one.table.columns, row.cells, strict=True):
                split, _, name = column.key.partition("/")
                m = cell.measure
                value = cell.words or (m.value if m else None)
                ends = (m.low, m.high, m.count) if m else (None, None, None)
                about = (marked(cell.spread), m.direction if m else "", marked(cell.reason))
                write.writerow([place, marked(row.label), row.kind, split, name, value, *ends, *about])
    return text.getvalue()


def _in_turn(write: Callable[[Table], str], comment: str, found: Board) -> str:
    return "\n".join(
        f"{comment}{' '.join(marked(heading_of(place, one)).split())}\n{write(one.table)}"
        for place, one in enumerate(found.tables, 1)
    )


FORMATS: Mapping[str, tuple[str, Callable[[Board], str]]] = {
    "latex": (".tex", lambda found: _in_turn(as_latex, "% ", found)),
    "md": (".md", lambda found: _in_turn(as_markdown, "### ", found)),
    "csv": (".csv", _as_csv),
}
"""By name: the suffix of its files, and what writes it."""
