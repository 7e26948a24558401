"""A board: methods against measures from finished runs, in one table for all that compares, with what audits say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.report import headline_measures, wording
from forgetting.report.board.attacks import VERDICT, WORST, attacked
from forgetting.report.board.comparable import Group, grouped
from forgetting.report.board.entry import LeftOut, entries
from forgetting.report.board.figure import Figure, after_attack
from forgetting.report.board.methods import Method, differing, methods
from forgetting.report.board.ranking import Best, best
from forgetting.report.table import Cell, Row, Table, column_of, main_table
from forgetting.runs.results import Results


@dataclass(frozen=True, slots=True)
class BoardTable:
    """The runs that compare with one another."""

    rows: tuple[Method, ...]
    table: Table
    """The start and the oracle, then each of `rows`; the audit's columns, then one for each measure in front."""
    best: Mapping[str, Best]
    """By the key of a measure."""
    apart: tuple[str, ...]
    """Why these runs do not stand in the first table; empty for that."""
    differing: tuple[tuple[str, list[tuple[str, str]]], ...]
    """Settings beside the method that are not the same in all rows."""
    figure: Figure | None = None
    """What the worst attack finds against what was kept; None where no run was audited beside an oracle."""

    @property
    def first(self) -> Results:
        """One of its runs, for what all of them have in common."""
        return self.rows[0].entries[0].run

    @property
    def notes(self) -> list[str]:
        """What measures say of the methods, as far as intervals tell them apart; those that say the same together."""
        said: dict[str, list[str]] = {}
        for found in self.best.values():
            if found.statement:
                said.setdefault(found.statement, []).append(found.title)
        return [f"By {wording.join(titles)}: {statement}." for statement, titles in said.items()]


@dataclass(frozen=True, slots=True)
class Board:
    """All tables, the one of most runs first, and the runs that are in none."""

    tables: tuple[BoardTable, ...]
    left_out: tuple[LeftOut, ...]


def board_of(folders: Sequence[Path]) -> Board:
    """The board of the runs in these folders.

    Raises:
        RunError: a folder holds no run, a file is damaged, or no run can stand on a board.
    """
    kept, left_out = entries(folders)
    if not kept:
        said = "; ".join(f"{one.name} {one.reason}" for one in left_out)
        raise RunError(f"none of these runs can stand on a board: {said}")
    return Board(tuple(_table(group) for group in grouped(kept)), tuple(left_out))


def _table(group: Group) -> BoardTable:
    rows = methods(group.entries)
    runs = [entry.run for row in rows for entry in row.entries]
    keys = headline_measures.headline_keys(runs)
    audits = attacked(rows)
    columns = [*((VERDICT, WORST) if audits else ()), *(column_of(runs, key) for key in keys)]
    anchors = [_padded(row, len(columns)) for row in main_table(runs, keys).rows if row.kind in ("before", "oracle")]
    cells = [
        [*(audits.cells[place] if audits else ()), *(row.cell(key) for key in keys)] for place, row in enumerate(rows)
    ]
    own = [Row("run", label_of(row), "", None, tuple(cells[place])) for place, row in enumerate(rows)]
    return BoardTable(
        rows=tuple(rows),
        table=Table(tuple(columns), (*anchors, *own)),
        best={key: best(key, rows) for key in keys},
        apart=group.apart,
        differing=tuple(differing(rows)),
        figure=after_attack(rows, audits) if audits else None,
    )


def label_of(row: Method) -> str:
    """`npo, learning rate 0.0003 (3 seeds)`."""
    return f"{row.label} ({row.seeds} seeds)" if row.seeds > 1 else row.label


def _padded(row: Row, width: int) -> Row:
    cells = (*[Cell(None)] * (width - len(row.cells)), *row.cells)
    return Row(row.kind, row.label, row.note, None, cells)


def heading_of(place: int, found: BoardTable) -> str:
    """`Table 2: suite lab, model lab`."""
    run = found.first
    return f"Table {place}: suite {run.suite or 'unknown'}, model {run.model or 'unknown'}"


def summary(found: Board) -> str:
    """`3 tables of 14 runs; 2 runs are left out`."""
    runs = sum(len(row.entries) for one in found.tables for row in one.rows)
    tables = f"{len(found.tables)} table{'s' if len(found.tables) != 1 else ''} of {wording.count(runs)} runs"
    return f"{tables}; {len(found.left_out)} left out" if found.left_out else tables
