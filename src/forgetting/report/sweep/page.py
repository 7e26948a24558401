"""A sweep's table as files: sweep.csv, and one HTML page with figures that needs no network and runs no script."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from forgetting.report import wording
from forgetting.report.audits.beside import beside
from forgetting.report.audits.figure import after_attack
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import COLOURS, Panel, legend_mark, series
from forgetting.report.drawing.scatter import Mark, Spot, draw
from forgetting.report.sweep.figures import asked_figures, legend
from forgetting.report.sweep.results import cautions
from forgetting.report.sweep.scale import drawn_range
from forgetting.report.sweep.table import Row, Statistic, SweepTable, sweep_table
from forgetting.report.sweep.trials import short, trials_figure, trials_table
from forgetting.report.template import page, write_out
from forgetting.runs.paths import RunPaths, SweepPaths
from forgetting.runs.results import Results, labels
from forgetting.runs.sweep import SweepResults
from forgetting.runs.undeclared import guessed_splits

_WIDTH, _LINE = 460.0, 26.0
_LONGEST = 30
"""Letters of a row's name in a figure."""


def build_sweep_report(folder: Path) -> Path:
    """Writes sweep.csv and report.html from a folder's sweep.json, of a tuning trials.csv too; returns the page's path.

    All text from files and data is escaped, and the page's content policy forbids any request.

    Raises:
        RunError: the folder holds no sweep, or cannot be written.
    """
    results = SweepResults.load(folder)
    paths = SweepPaths(folder)
    write_out(paths.table_file, sweep_table(results, whole=True).as_csv())
    if results.tuning is not None:
        write_out(paths.trials_file, trials_table(results.tuning).as_csv())
    write_out(paths.report_file, render_sweep(results))
    return paths.report_file


def render_sweep(results: SweepResults) -> str:
    """The page as text."""
    table = sweep_table(results)
    audited = _audited(results)
    audits, drawn = beside(audited), series(audited)
    return page(
        "sweep.html.j2",
        audits=audits,
        after_attack=None if audits is None else after_attack(audits, drawn),
        audited=labels(audited),
        audit_marks=[legend_mark(one) for one in drawn],
        results=results,
        table=table,
        anchors={name: [wording.value_text(m) for m in found] for name, found in table.anchors.items()},
        meanings=[(m.meaning if (m := results.sample(key)) else "") for key in table.keys],
        cautions=cautions(results),
        panels=[panel for place in range(len(table.keys)) if (panel := _dots(table, place))],
        tradeoff=_tradeoff(table, results.splits),
        trials=None if results.tuning is None else trials_table(results.tuning),
        trials_figure=None if results.tuning is None else trials_figure(results.tuning),
        short=short,
        figures=asked_figures(results),
        colours=legend(results),
        legend=[(_legend_mark(row), row.label) for row in table.rows if row.over == "all"],
    )


def _audited(results: SweepResults) -> list[Results]:
    """The runs of the sweep that have a certificate."""
    names = {run.name for run in results.runs}
    inside = sorted(results.folder.iterdir()) if results.folder.is_dir() else []
    folders = [RunPaths(path) for path in inside if path.name in names]
    return [Results.load(run.path) for run in folders if run.is_finished and run.certificate_file.is_file()]


def _legend_mark(row: Row) -> Markup:
    shape = svg.SHAPES[row.series % len(svg.SHAPES)]
    mark = svg.marker(shape, 8, 8, f"point s{row.series % COLOURS}")
    return svg.element("svg", mark, class_="key", viewBox="0 0 16 16", width="16", height="16", aria_hidden="true")


def _dots(table: SweepTable, place: int) -> Panel | None:
    """One measure: a line per row with the mean, ± one standard deviation, and every run as a small point."""
    rows = [(row, row.cells[place]) for row in table.rows if row.cells[place].values]
    if not rows:
        return None
    levels = [(name, m.value) for name, found in table.anchors.items() if (m := found[place]) and m.value is not None]
    values = [v for _, cell in rows for v in (*cell.values, *cell.bar)] + [v for _, v in levels]
    room = 12 + svg.LETTER * max(len(wording.shortened(_name(row, table), _LONGEST)) for row, _ in rows)
    height = _LINE * len(rows) + 66
    bottom = height - 44
    low, high, log = drawn_range(values, rows[0][1].p_value)
    scale = svg.Scale(low, high, room, _WIDTH - 40, log)
    parts = []
    for tick, words in svg.tick_texts(scale.ticks(4)):
        x = scale(tick)
        parts.append(svg.element("line", class_="grid", x1=x, x2=x, y1=18.0, y2=bottom))
        parts.append(svg.element("text", words, class_="tick", x=x, y=bottom + 17, text_anchor="middle"))
    for name, value in levels:
        x = scale(value)
        parts.append(svg.element("line", class_="level", x1=x, x2=x, y1=18.0, y2=bottom))
        near = any(abs(scale(other) - x) < svg.LETTER * 7 for before, other in levels if before < name)
        parts.append(svg.element("text", name, class_="hint", x=x, y=1.0 if near else 12.0, text_anchor="middle"))
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
    short = wording.shortened(name, _LONGEST)
    parts = [svg.element("text", short, class_="tick", x=scale.start - 10, y=y + 4, text_anchor="end")]
    for value in cell.values:
        parts.append(svg.marker("circle", scale(value), y, f"single {colour}", wording.number(value), r=2.5))
    if cell.std is not None:
        low, high = cell.bar
        parts.append(svg.element("line", class_=f"error {colour}", x1=scale(low), x2=scale(high), y1=y, y2=y))
    shape = svg.SHAPES[row.series % len(svg.SHAPES)]
    parts.append(svg.marker(shape, scale(cell.mean), y, f"point {colour}", f"{name}: {cell.text}", r=5.0))
    parts.append(svg.element("text", f"n {cell.n}", class_="hint", x=end, y=y + 4))
    return parts


def _name(row: Row, table: SweepTable) -> str:
    return f"{row.label}, {row.over}" if table.with_success else row.label


def _tradeoff(table: SweepTable, splits: tuple[tuple[str, ...], tuple[str, ...]] | None) -> Markup | None:
    """The first forget column against the first retain column: one point per row, ± one standard deviation."""
    about = guessed_splits(table.keys) if splits is None else splits
    places = [next((i for i, k in enumerate(table.keys) if k.split("/")[0] in own), None) for own in about]
    if places[0] is None or places[1] is None:
        return None
    x, y = places[0], places[1]
    rows = [row for row in table.rows if row.over == "all" and row.cells[x].values and row.cells[y].values]
    if not rows:
        return None
    marks = [*_anchors(table, x, y), *(_mark(row, x, y) for row in rows)]
    left, right, log_x = drawn_range([v for mark in marks for v in mark.x.known])
    bottom, top, log_y = drawn_range([v for mark in marks for v in mark.y.known])
    frame = svg.Frame.of(700, 440, (left, right), (bottom, top), right=24, log_x=log_x, log_y=log_y)
    logs = [" (log scale)" if log else "" for log in (log_x, log_y)]
    parts = [frame.axes(table.titles[x] + logs[0], table.titles[y] + logs[1]), *draw(frame, marks)]
    return frame.svg(parts, f"{table.titles[x]} against {table.titles[y]} by point of the grid")


def _mark(row: Row, x: int, y: int) -> Mark:
    style, shape = f"point s{row.series % COLOURS}", svg.SHAPES[row.series % len(svg.SHAPES)]
    return Mark(row.label, _spot(row.cells[x]), _spot(row.cells[y]), style, shape)


def _spot(cell: Statistic) -> Spot:
    assert cell.mean is not None
    low, high = (None, None) if cell.std is None else cell.bar
    return Spot(cell.mean, low, high, cell.text)


def _anchors(table: SweepTable, x: int, y: int) -> list[Mark]:
    """The models that all runs share, without bars: theirs would be of another kind."""
    marks = []
    for name, found in table.anchors.items():
        spots = [
            Spot(m.value, None, None, wording.value_text(m)) for m in (found[x], found[y]) if m and m.value is not None
        ]
        if len(spots) == 2:
            style, shape = ("start", "circle") if name == "before" else ("oracle", "star")
            marks.append(Mark(name, spots[0], spots[1], style, shape))
    return marks
