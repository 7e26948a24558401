"""The figures that a sweep's file asks for: a measure against another, against an axis, or along the runs' ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from forgetting.metrics.forget_quality import names_p_value
from forgetting.recipe.sweep_file import Figure, number_of
from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import COLOURS, Panel
from forgetting.report.sweep.scale import drawn_range
from forgetting.report.sweep.table import Statistic
from forgetting.runs.sweep import SweepResults, SweepRun

_WIDTH, _HEIGHT = 400.0, 300.0


@dataclass(frozen=True, slots=True)
class _Dot:
    """One value of one run."""

    x: float
    y: float
    run: SweepRun
    note: str
    point: str = "after"


def asked_figures(results: SweepResults) -> list[Panel]:
    """A panel for each figure of the sweep's file and each point of its `panels` axes that has values.

    Small circles are runs, crosses runs that missed their goal; beside an axis a line joins the means, over the runs
    that reached their goal where there is one. Along a way each run is a line, a ring is the model before, a star the
    oracle. Colours are those of the first axis without panels.
    """
    return [panel for given in results.file.get("figures", ()) for panel in _panels(results, Figure(**given))]


def colour_axis(results: SweepResults, figure: Mapping[str, Any]) -> str | None:
    """The axis whose points are told apart by colour; None if every other is averaged over, a panel's or the x."""
    taken = (*figure.get("panels", ()), figure["x"])
    return next((axis for axis in results.shown_axes if axis not in taken), None)


def legend(results: SweepResults) -> list[tuple[Markup, str]]:
    """The colours of the figures: a mark and the label of the axis' point."""
    axes = [axis for given in results.file.get("figures", ()) if (axis := colour_axis(results, given))]
    return [
        (_key(place), label if len(set(axes)) == 1 else f"{axis} {label}")
        for axis in dict.fromkeys(axes)
        for place, label in enumerate(results.axes[axis])
    ]


def _key(place: int) -> Markup:
    mark = svg.marker("circle", 8, 8, f"point s{place % COLOURS}")
    return svg.element("svg", mark, class_="key", viewBox="0 0 16 16", width="16", height="16", aria_hidden="true")


def _panels(results: SweepResults, figure: Figure) -> Iterator[Panel]:
    groups: dict[tuple[str, ...], list[SweepRun]] = {}
    for run in results.runs:
        groups.setdefault(tuple(run.point[axis] for axis in figure.panels), []).append(run)
    for labels, runs in groups.items():
        ways = [dots for run in runs if (dots := list(_dots(figure, run)))]
        if ways:
            place = ", ".join(labels)
            title = f"{_title(results, figure.y)} by {_title(results, figure.x)}" + (f": {place}" if place else "")
            yield Panel(title, _drawn(results, figure, ways, title))


def _dots(figure: Figure, run: SweepRun) -> Iterator[_Dot]:
    """A run's values: one after it, or one for each evaluation on its way."""
    if figure.along is None:
        x = number_of(run.point[figure.x]) if figure.x in run.point else _value(run, figure.x)
        y = _value(run, figure.y)
        if x is not None and y is not None:
            yield _Dot(x, y, run, f"{run.name}\n{wording.number(x)}, {wording.number(y)}")
        return
    passed = ["before", "epoch" if figure.along == "epochs" else "after"]
    passed += ["oracle"] if "/" in figure.x else []  # it has passed no epochs and no stages
    for stop in run.way:
        x, y = stop.value(figure.x), stop.value(figure.y)
        if stop.point in passed and x is not None and y is not None:
            asked = max(m.count for m in stop.measures)
            at = stop.point if stop.point != "epoch" else f"epoch {wording.number(stop.epoch)}"
            note = f"{run.name}, {at} (n = {asked})\n{wording.number(x)}, {wording.number(y)}"
            yield _Dot(x, y, run, note, stop.point)


def _value(run: SweepRun, key: str) -> float | None:
    measure = run.measure(key)
    return None if measure is None else measure.value


def _drawn(results: SweepResults, figure: Figure, ways: Sequence[Sequence[_Dot]], title: str) -> Markup:
    every = [dot for way in ways for dot in way]
    p_values = [names_p_value(key.partition("/")[2]) for key in (figure.x, figure.y)]
    left, right, log_x = drawn_range([dot.x for dot in every], p_values[0])
    low, high, log_y = drawn_range([dot.y for dot in every], p_values[1])
    frame = svg.Frame.of(_WIDTH, _HEIGHT, (left, right), (low, high), log_x=log_x, log_y=log_y)
    logs = [" (log scale)" if log else "" for log in (log_x, log_y)]
    say = wording.flops if figure.x.endswith("/flops") else svg.tick_text
    parts = [
        frame.axes(_title(results, figure.x) + logs[0], _title(results, figure.y) + logs[1], x_ticks=4, x_text=say)
    ]
    axis = colour_axis(results, figure.model_dump())
    lines = ways if figure.along else (_means(results, figure, every) if figure.x in results.axes else ())
    for line in lines:
        points = [(dot.x, dot.y) for dot in line if dot.point != "oracle"]
        parts.append(frame.line(points, f"curve s{_place(results, axis, line[0].run)}"))
    parts += [_mark(frame, dot, _place(results, axis, dot.run)) for dot in every]
    return frame.svg(parts, title)


def _means(results: SweepResults, figure: Figure, dots: Sequence[_Dot]) -> list[list[_Dot]]:
    """The mean at each x, a line for each point of the other axes; of runs with a goal, only those that reached it."""
    others = [axis for axis in results.shown_axes if axis != figure.x and axis not in figure.panels]
    lines: dict[tuple[str, ...], dict[float, list[_Dot]]] = {}
    for dot in dots:
        if dot.run.success is not False:
            line = lines.setdefault(tuple(dot.run.point[axis] for axis in others), {})
            line.setdefault(dot.x, []).append(dot)
    return [[_mean(figure, line[x]) for x in sorted(line)] for line in lines.values()]


def _mean(figure: Figure, dots: Sequence[_Dot]) -> _Dot:
    mean = Statistic(tuple(dot.y for dot in dots), p_value=names_p_value(figure.y.partition("/")[2])).mean
    assert mean is not None, "there are dots"
    return _Dot(dots[0].x, mean, dots[0].run, "")


def _place(results: SweepResults, axis: str | None, run: SweepRun) -> int:
    return 0 if axis is None else results.axes[axis].index(run.point[axis]) % COLOURS


def _mark(frame: svg.Frame, dot: _Dot, colour: int) -> Markup:
    x, y = frame.x(dot.x), frame.y(dot.y)
    if dot.point in ("before", "oracle"):
        style, shape = ("start", "circle") if dot.point == "before" else ("oracle", "star")
        return svg.marker(shape, x, y, style, dot.note, r=5.0)
    shape = "cross" if dot.run.success is False and dot.point == "after" else "circle"
    return svg.marker(shape, x, y, f"point s{colour}", dot.note, r=4.0)


def _title(results: SweepResults, key: str) -> str:
    measure = results.sample(key)
    return wording.heading(measure) if measure else wording.plain(key)
