"""A board as one HTML file that needs no network and runs no script."""

from __future__ import annotations

from pathlib import Path

from forgetting.report.board.board import Board, BoardTable, heading_of, summary
from forgetting.report.template import page, write_out
from forgetting.runs.pages import check_page

_STATES = {True: "best", False: "not told apart"}


def build_page(found: Board, out: Path, *, title: str | None = None) -> Path:
    """Writes the page and returns its path; it is whole or absent, and all text is escaped.

    Raises:
        RunError: `out` cannot be written, or is the report of a run or of a sweep.
    """
    check_page(out, [entry.run.folder for one in found.tables for row in one.rows for entry in row.entries])
    write_out(out, render(found, title=title))
    return out


def render(found: Board, *, title: str | None = None) -> str:
    """The page as text."""
    return page(
        "board.html.j2",
        title=title or "Leaderboard",
        summary=summary(found),
        tables=[(heading_of(place, one), one, standing(one)) for place, one in enumerate(found.tables, 1)],
        left_out=found.left_out,
    )


def standing(one: BoardTable) -> dict[tuple[int, int], str]:
    """By row of methods and column, `best` or `not told apart` from the best; a cell of neither is not there."""
    found: dict[tuple[int, int], str] = {}
    for column, of in enumerate(one.table.columns):
        what = one.best.get(of.key)
        if what is None or what.first is None:
            continue
        found[what.first, column] = _STATES[not what.tied]
        found |= {(row, column): _STATES[False] for row in what.tied}
    return found
