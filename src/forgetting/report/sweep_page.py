"""A sweep's table as files: sweep.csv, and one HTML page with figures that needs no network and runs no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forgetting.core.folder import write_text
from forgetting.report import svg, wording
from forgetting.report.figures import COLOURS, Panel
from forgetting.report.sweep import Row, Statistic, SweepTable, sweep_table
from forgetting.report.sweep_results import SweepResults, cautions

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_WIDTH, _LINE = 460.0, 26.0
_LONGEST = 30
"""Letters of a row's name in a figure."""


def build_sweep_report(folder: Path) -> Path:
    """Writes sweep.csv and report.html from a folder's sweep.json, and returns the page's path.

    All text from files and data is escaped, and the page's content policy forbids any request.

    Raises:
        RunError: the folder holds no sweep.
    """
    results = SweepResults.load(folder)
    for name, text in (("sweep.csv", sweep_table(results).as_csv()), ("report.html", render_sweep(results))):
        # Half a character, as broken data hold, has no UTF-8.
        write_text(folder / name, text.encode("utf-8", errors="backslashreplace").decode("utf-8"))
    return folder / "report.html"


def render_sweep(results: SweepResults) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("forgetting.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": wording.moment, "seconds": wording.seconds}
    table = sweep_table(results)
    page = environment.get_template("sweep.html.j2").render(
        css=resources.files("forgetting.report").joinpath("report.css").read_text(encoding="utf-8"),
        results=results,
        table=table,
        anchors={name: [wording.value_text(m) for m in found] for name, found in table.anchors.items()},
        meanings=[(m.meaning if (m := results.sample(key)) else "") for key in table.keys],
        cautions=cautions(results),
        panels=[panel for place in range(len(table.keys)) if (panel := _dots(table, place))],
        tradeoff=_tradeoff(table),
    )
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", page)


def _dots(table: SweepTable, place: int) -> Panel | None:
    """One measure: a line per row with the mean, ± one standard deviation, and every run as a small point."""
    rows = [(row, row.cells[place]) for row in table.rows if row.cells[place].values]
    if not rows:
        return None
    levels = [(name, m.value) for name, found in table.anchors.items() if (m := found[place]) and m.value is not None]
    values = [v for _, cell in rows for v in (*cell.values, *_bar(cell))] + [v for _, v in levels]
    room = 12 + svg.LETTER * max(len(_name(row, table)) for row, _ in rows)
    height = _LINE * len(rows) + 66
    bottom = height - 44
    scale = _scale(values, room, _WIDTH - 40)
    parts = []
    for tick in scale.ticks(4):
        x = scale(tick)
        parts.append(svg.element("line", class_="grid", x1=x, x2=x, y1=18.0, y2=bottom))
        parts.append(svg.element("text", svg.tick_text(tick), class_="tick", x=x, y=bottom + 17, text_anchor="middle"))
    for name, value in levels:
        x = scale(value)
        parts.append(svg.element("line", class_="level", x1=x, x2=x, y1=18.0, y2=bottom))
        parts.append(svg.element("text", name, class_="hint", x=x, y=12.0, text_anchor="middle"))
    for number, (row, cell) in enumerate(rows):
        parts += _line(scale, _name(row, table), row, cell, 18 + _LINE * (number + 0.5), _WIDTH - 34)
    title = table.titles[place] + (" (log scale)" if scale.log else "")
    parts.append(
        svg.element("text", title, class_="title", x=(room + _WIDTH - 40) / 2, y=height - 6, text_anchor="middle")
    )
    frame = svg.Frame(_WIDTH, height, scale, svg.Scale(0, 1, bottom, 18))
    return Panel(table.titles[place], frame.svg(parts, f"{title} by point of the grid"))


def _line(scale: svg.Scale, name: str, row: Row, cell: Statistic, y: float, end: float) -> list[Markup]:
    assert cell.mean is not None
    colour = f"s{row.series % COLOURS}"
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    parts = [svg.element("text", short, class_="tick", x=scale.start - 10, y=y + 4, text_anchor="end")]
    for value in cell.values:
        parts.append(svg.marker("circle", scale(value), y, f"single {colour}", wording.number(value), r=2.5))
    if cell.std is not None:
        low, high = _bar(cell)
        parts.append(svg.element("line", class_=f"error {colour}", x1=scale(low), x2=scale(high), y1=y, y2=y))
    shape = svg.SHAPES[row.series % len(svg.SHAPES)]
    parts.append(svg.marker(shape, scale(cell.mean), y, f"point {colour}", f"{name}: {cell.text}", r=5.0))
    parts.append(svg.element("text", f"n {cell.n}", class_="hint", x=end, y=y + 4))
    return parts


def _name(row: Row, table: SweepTable) -> str:
    name = row.label if not table.with_success else f"{row.label}, {row.over}"
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _bar(cell: Statistic) -> tuple[float, float]:
    """One standard deviation to each side of the mean."""
    mean, std = cell.mean or 0.0, cell.std or 0.0
    return mean - std, mean + std


def _scale(values: Sequence[float], start: float, end: float) -> svg.Scale:
    """By powers of ten where values above 0 span much, as perplexities of a broken model do."""
    if min(values) > 0 and max(values) > 1 and max(values) > 50 * min(values):
        return svg.Scale(min(values) / 1.3, max(values) * 1.3, start, end, log=True)
    return svg.Scale(*svg.spread(values), start, end)


def _tradeoff(table: SweepTable) -> Markup | None:
    """The first forget column against the first retain column: one point per row, ± one standard deviation."""
    places = [
        next((i for i, k in enumerate(table.keys) if k.startswith(split)), None) for split in ("forget", "retain")
    ]
    if places[0] is None or places[1] is None:
        return None
    x_place, y_place = places[0], places[1]
    rows = [row for row in table.rows if row.over == "all" and row.cells[x_place].values and row.cells[y_place].values]
    if not rows:
        return None
    levels = [
        (name, x.value, y.value)
        for name, found in table.anchors.items()
        if (x := found[x_place]) and (y := found[y_place]) and x.value is not None and y.value is not None
    ]
    xs = [v for row in rows for v in _bar(row.cells[x_place])] + [x for _, x, _ in levels]
    ys = [v for row in rows for v in _bar(row.cells[y_place])] + [y for _, _, y in levels]
    frame = svg.Frame(700, 440, _scale(xs, 52, 676), _scale(ys, 396, 14))
    logs = [" (log scale)" if scale.log else "" for scale in (frame.x, frame.y)]
    parts = [frame.axes(table.titles[x_place] + logs[0], table.titles[y_place] + logs[1])]
    points = []
    for name, x_value, y_value in levels:
        style, shape = ("start", "circle") if name == "before" else ("oracle", "star")
        points.append((name, frame.x(x_value), frame.y(y_value)))
        parts.append(svg.marker(shape, points[-1][1], points[-1][2], style, name, r=6.5))
    for row in rows:
        drawn, at = _pair(frame, row, row.cells[x_place], row.cells[y_place])
        parts += drawn
        points.append((row.label, *at))
    parts += _labels(frame, points)
    return frame.svg(parts, f"{table.titles[x_place]} against {table.titles[y_place]} by point of the grid")


def _pair(frame: svg.Frame, row: Row, x_cell: Statistic, y_cell: Statistic) -> tuple[list[Markup], tuple[float, float]]:
    assert x_cell.mean is not None and y_cell.mean is not None
    colour = f"s{row.series % COLOURS}"
    x, y = frame.x(x_cell.mean), frame.y(y_cell.mean)
    left, right = (frame.x(v) for v in _bar(x_cell))
    bottom, top = (frame.y(v) for v in _bar(y_cell))
    note = f"{row.label}\n{x_cell.text}\n{y_cell.text}"
    return [
        svg.element("line", class_=f"error {colour}", x1=left, x2=right, y1=y, y2=y),
        svg.element("line", class_=f"error {colour}", x1=x, x2=x, y1=bottom, y2=top),
        svg.marker(svg.SHAPES[row.series % len(svg.SHAPES)], x, y, f"point {colour}", note, r=6.5),
    ], (x, y)


def _labels(frame: svg.Frame, points: Sequence[tuple[str, float, float]]) -> list[Markup]:
    """A label at every point that has a free place near it; pointing at a point names it too."""
    taken = [svg.around(x, y) for _, x, y in points]
    parts = []
    for label, x, y in points:
        text = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
        others = [(a, b) for _, a, b in points if (a, b) != (x, y)]
        spot = svg.place(text, (x, y), others, taken, frame)
        if spot is not None:
            taken.append(spot[2])
            parts.append(svg.element("text", text, class_="label", x=spot[0], y=spot[1]))
    return parts
