"""A map of values between 0 and 1: a square for each pair, on a scale that is the same in every map. Inline SVG."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from forgetting.core.grid import Grid
from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.figure import Figure

_WIDTH, _HEIGHT = 460.0, 340.0
_NOTED = 400
"""Squares of a map in which each says its value where it is pointed at; larger maps would make a large page."""


def draw(title: str, grid: Grid) -> Figure | None:
    """Rows from the bottom up, columns from the left; the more, the more of the colour; crossed out: no value.

    None where no pair has a value.
    """
    rows, columns = len(grid.values), max((len(row) for row in grid.values), default=0)
    if not any(value is not None for row in grid.values for value in row):
        return None
    side = min((_WIDTH - 66) / columns, (_HEIGHT - 58) / rows)
    frame = svg.Frame(
        66 + side * columns,
        58 + side * rows,
        svg.Scale(-0.5, columns - 0.5, 52, 52 + side * columns),
        svg.Scale(-0.5, rows - 0.5, 14 + side * rows, 14),
    )
    noted = rows * columns <= _NOTED
    parts = [frame.axes(grid.x_label, grid.y_label, x_text=_whole, y_text=_whole)]
    for row, values in enumerate(grid.values):
        for column, value in enumerate(values):
            x, y = frame.x(column) - side / 2, frame.y(row) - side / 2
            note = f"{grid.y_label} {row}, {grid.x_label} {column}: {wording.number(value)}" if noted else ""
            parts.append(_square(x, y, side, value, note))
    legend = [(_key(value), f"{value:g}") for value in (0.0, 0.5, 1.0)]
    legend += [(_key(value), f"{wording.number(value)}: {name}") for name, value in grid.marks]
    if grid.reason and any(value is None for row in grid.values for value in row):
        legend.append((_key(None), grid.reason))
    return Figure(title, frame.svg(parts, f"{grid.label} of {grid.y_label} and {grid.x_label}"), tuple(legend))


def _whole(value: float) -> str:
    return svg.tick_text(value) if value.is_integer() else ""


def _square(x: float, y: float, side: float, value: float | None, note: str = "") -> Markup:
    inside = svg.element("title", note) if note else Markup("")
    if value is None:
        return svg.element("path", inside, class_="nothing", d="".join(_crossed(x, y, side)))
    share = min(max(value, 0.0), 1.0)
    return svg.element("rect", inside, class_="cell", x=x, y=y, width=side, height=side, fill_opacity=share)


def _crossed(x: float, y: float, side: float) -> Iterator[str]:
    yield f"M{x:.1f} {y + side:.1f}L{x + side:.1f} {y:.1f}"
    yield f"M{x:.1f} {y:.1f}L{x + side:.1f} {y + side:.1f}"


def _key(value: float | None) -> Markup:
    return svg.element(
        "svg",
        svg.element("rect", class_="around", x=1, y=1, width=14, height=14),
        _square(1, 1, 14, value),
        class_="key",
        viewBox="0 0 16 16",
        width="16",
        height="16",
        aria_hidden="true",
    )
