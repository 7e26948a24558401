"""Runs beside each other as one HTML page, as tables for a terminal, and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from forgetting.report import headline_measures, wording
from forgetting.report.comparison.differences import Compared, Difference, Shared, compare
from forgetting.report.drawing import curves, svg
from forgetting.report.drawing.curves import COLOURS, Panel
from forgetting.report.run.cost import bills, cost_figure
from forgetting.report.run.tradeoff import tradeoff
from forgetting.report.table import main_table
from forgetting.report.template import page, write_out
from forgetting.report.verdict.several_runs import comparison
from forgetting.runs.pages import check_page
from forgetting.runs.results import Results

_WIDTH, _LINE, _LONGEST = 460.0, 26.0, 24


def build_comparison(runs: Sequence[Path], out: Path) -> Compared:
    """Compares runs and writes the page; it needs no network and runs no script, and all text is escaped.

    Raises:
        RunError: see `compare`; or `out` cannot be written, or is the report of a run.
    """
    check_page(out, runs)
    found = compare([Results.load(folder) for folder in runs])
    write_out(out, render(found))
    return found


def render(found: Compared) -> str:
    """The page as text."""
    runs = found.runs
    marks = [curves.legend_mark(one) for one in curves.series(runs)]
    known = [s.key for s in found.shared if any(m.value is not None for m in s.values)]
    whole, kinds = ([key for key in known if ("[" in key) == parted] for parted in (False, True))
    return page(
        "comparison.html.j2",
        title=f"{wording.join(list(found.names))} compared",
        found=found,
        runs=runs,
        names=found.names,
        marks=marks,
        verdict=comparison(found.given),
        everything=main_table(runs, whole),
        by_kind=main_table(runs, kinds) if kinds else None,
        differences=_worded(found, whole),
        differences_by_kind=_worded(found, kinds),
        panels=[panel for key in _front(found) if (panel := _forest(found, key))],
        tradeoff=tradeoff(runs),
        bills=bills(runs),
        cost_figure=cost_figure(runs),
        recipes=_rows(found.recipes),
        data=_rows(found.data),
        without_recipe=[n for n, run in zip(found.names, runs, strict=True) if not run.recipe],
        untold="digests of a redacted run cannot be compared" if any(run.redacted for run in runs) else "",
        suites=list(dict.fromkeys(run.suite for run in runs if run.suite)),
    )


def tables(found: Compared) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Headers and rows for a terminal: `measures` (of whole splits, with a value), `differs` and `costs`."""
    table, names = main_table(found.runs, [s.key for s in found.shared]), list(found.names)
    ends = [row for row in table.rows if row.kind == "run"]
    headers = ["", *names, *(f"{name} − {names[0]}" for name in names[1:])]
    rows = [
        [
            f"{column.title} {column.arrow}".strip(),
            *(row.cells[place].plain for row in ends),
            *(difference_text(d) for d in shared.differences),
        ]
        for place, (column, shared) in enumerate(zip(table.columns, found.shared, strict=True))
        if "[" not in shared.key and any(m.value is not None for m in shared.values)
    ]
    data = [(f"data: {role}", values) for role, values in found.data]
    differs = [[key, *values] for key, values in _rows((*found.recipes, *data))]
    costs = [
        [
            name,
            bill.epochs,
            bill.flops,
            wording.seconds(run.cost.train_seconds),
            wording.seconds(run.cost.evaluation_seconds),
            wording.size(run.cost.peak_memory_bytes) if run.cost.peak_memory_bytes else wording.ABSENT,
        ]
        for name, run, bill in zip(names, found.runs, bills(found.runs), strict=True)
    ]
    return {
        "measures": (headers, rows),
        "differs": (["what differs", *names], differs),
        "costs": (["costs", "epochs", "FLOPs", "train", "evaluate", "peak memory"], costs),
    }


def as_json(found: Compared) -> dict[str, Any]:
    """Plain values."""
    return {
        "runs": list(found.names),
        "caution": found.caution,
        "measures": [
            {
                "key": s.key,
                "values": [
                    {"value": m.value, "low": m.low, "high": m.high, "count": m.count, "reason": m.reason}
                    for m in s.values
                ],
                "differences": [
                    {
                        "run": d.run,
                        "value": d.estimate.value,
                        "low": d.estimate.low,
                        "high": d.estimate.high,
                        "count": d.estimate.count,
                        "reason": d.reason,
                    }
                    for d in s.differences
                ],
            }
            for s in found.shared
        ],
        "only": {name: list(keys) for name, keys in found.only.items()},
        "recipes": {key: [None if v is ... else v for v in values] for key, values in found.recipes},
        "data": {key: [None if v is ... else v for v in values] for key, values in found.data},
    }


def difference_text(difference: Difference) -> str:
    """`+0.120 (0.080–0.160) n 78`, or why there is none."""
    e = difference.estimate
    if e.value is None:
        return f"{wording.ABSENT} {difference.reason}"
    between = f" ({_signed(e.low)} … {_signed(e.high)})" if e.low is not None and e.high is not None else ""
    why = f", {difference.reason}" if difference.reason and not between else ""
    return f"{_signed(e.value)}{between} n {e.count}{why}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + wording.number(value)


def _worded(found: Compared, keys: Sequence[str]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Title of a measure, and of each run but the first: the difference, its interval, whether it is told apart."""
    rows = []
    for column, shared in zip(
        main_table(found.runs, keys).columns, [s for s in found.shared if s.key in keys], strict=True
    ):
        if any(d.estimate.value is not None for d in shared.differences):
            title = f"{column.title} {column.arrow}".strip()
            rows.append((title, [_cell(d) for d in shared.differences]))
    return rows


def _cell(difference: Difference) -> tuple[str, str, str]:
    e = difference.estimate
    if e.value is None:
        return wording.ABSENT, difference.reason, ""
    if e.low is None or e.high is None:
        return _signed(e.value), f"{e.count} pairs, {difference.reason or 'no interval'}", ""
    words = "differs" if difference.told_apart else "not told apart"
    return _signed(e.value), f"{_signed(e.low)} … {_signed(e.high)}, {e.count} pairs", words


def _front(found: Compared) -> list[Shared]:
    """Those of the measures in front that have a paired difference; the first paired ones where there are none."""
    paired = [s for s in found.shared if any(d.estimate.value is not None for d in s.differences)]
    keys = headline_measures.headline_keys(found.runs)
    return [s for s in paired if s.key in keys] or paired[:4]


def _forest(found: Compared, shared: Shared) -> Panel | None:
    """One measure: a line per run with its paired difference from the first and the 95% interval; dashed: none."""
    known = [(i, d) for i, d in enumerate(shared.differences, 1) if d.estimate.value is not None]
    if not known:
        return None
    names = [wording.shortened(d.run, _LONGEST) for _, d in known]
    values = [v for _, d in known for v in (d.estimate.value, d.estimate.low, d.estimate.high) if v is not None]
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.08 * (high - low) or 0.5
    room, height = 12 + svg.LETTER * max(map(len, names)), _LINE * len(known) + 66
    scale, bottom = svg.Scale(low - margin, high + margin, room, _WIDTH - 20), height - 44
    parts = []
    for tick, words in svg.tick_texts(scale.ticks(4)):
        x = scale(tick)
        parts.append(svg.element("line", class_="grid", x1=x, x2=x, y1=18.0, y2=bottom))
        parts.append(svg.element("text", words, class_="tick", x=x, y=bottom + 17, text_anchor="middle"))
    parts.append(svg.element("line", class_="level", x1=scale(0.0), x2=scale(0.0), y1=12.0, y2=bottom))
    for place, ((run, one), name) in enumerate(zip(known, names, strict=True)):
        y, colour = 18 + _LINE * (place + 0.5), f"s{run % COLOURS}"
        parts.append(svg.element("text", name, class_="tick", x=room - 10, y=y + 4, text_anchor="end"))
        e = one.estimate
        if e.low is not None and e.high is not None:
            parts.append(svg.element("line", class_=f"error {colour}", x1=scale(e.low), x2=scale(e.high), y1=y, y2=y))
        shape = svg.SHAPES[run % len(svg.SHAPES)]
        parts.append(svg.marker(shape, scale(e.value or 0.0), y, f"point {colour}", difference_text(one), r=5.0))
    title = wording.heading(shared.values[0])
    words = f"less {wording.shortened(found.names[0], _LONGEST)}"
    parts.append(svg.element("text", words, class_="title", x=(room + _WIDTH) / 2, y=height - 6, text_anchor="middle"))
    frame = svg.Frame(_WIDTH, height, scale, svg.Scale(0, 1, bottom, 18))
    return Panel(title, Markup(frame.svg(parts, f"{title}: paired differences from {found.names[0]}")))


def _rows(rows: Sequence[tuple[str, tuple[Any, ...]]]) -> list[tuple[str, list[str]]]:
    return [(key, [wording.ABSENT if v is ... else _text(v) for v in values]) for key, values in rows]


def _text(value: Any) -> str:
    return "none" if value is None else wording.one_line(value)
