"""The figures of a report as inline SVG: forgetting against retention, curves over a run, training loss per term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.report import headline, svg, wording
from forgetting.report.compare import amount, value_at
from forgetting.report.results import Evaluation, Results, labels

COLOURS = 8
_LONGEST_LABEL = 26
_MOST_POINTS = 240
"""Points of a training curve; longer histories are averaged in windows."""


@dataclass(frozen=True, slots=True)
class Series:
    """How a run is drawn: the same colour and shape in every figure."""

    label: str
    colour: int
    shape: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One small figure and the words above it."""

    title: str
    figure: Markup
    note: str = ""


def series(runs: Sequence[Results]) -> list[Series]:
    """Colours and shapes by place; past eight runs the shapes shift, so that no two runs look alike up to 64."""
    shapes = svg.SHAPES
    return [
        Series(label, i % COLOURS, shapes[(i + i // COLOURS) % len(shapes)]) for i, label in enumerate(labels(runs))
    ]


def legend_mark(one: Series) -> Markup:
    """The mark of a run for tables and legends."""
    mark = svg.marker(one.shape, 8, 8, f"point s{one.colour}")
    return svg.element("svg", mark, class_="key", viewBox="0 0 16 16", width="16", height="16", aria_hidden="true")


def tradeoff(runs: Sequence[Results]) -> Markup | None:
    """Forgetting (x) against retention (y): one point per run with 95% intervals, the way there, the start, the oracle.

    The shaded field is what would be ideal: within the oracle's interval on the forget set, at the start's interval or
    above on the retain set. None where no model was measured on both.
    """
    keys = headline.forgetting_key(runs), headline.retention_key(runs)
    marks = _marks(runs, keys)
    if not marks:
        return None
    titles = [wording.title(m) if (m := headline.sample(runs, key or "")) else "" for key in keys]
    xs = svg.spread([v for mark in marks for v in (mark.x.value, mark.x.low, mark.x.high) if v is not None])
    ys = svg.spread([v for mark in marks for v in (mark.y.value, mark.y.low, mark.y.high) if v is not None])
    frame = svg.Frame.of(700, 440, xs, ys, right=24)
    parts = [frame.axes(f"{titles[0]} (lower: more forgotten)", f"{titles[1]} (higher: more kept)")]
    parts.append(_ideal(frame, marks))
    parts += [_way(frame, run, one, keys) for run, one in zip(runs, series(runs), strict=True)]
    parts += [_error_bars(frame, mark) for mark in marks]
    parts += [_point(frame, mark) for mark in marks]
    parts += _point_labels(frame, marks)
    return frame.svg(parts, f"{titles[0]} against {titles[1]} for {wording.join(labels(runs))}")


@dataclass(frozen=True, slots=True)
class _Mark:
    label: str
    x: Measure
    y: Measure
    style: str
    shape: str


def _marks(runs: Sequence[Results], keys: tuple[str | None, str | None]) -> list[_Mark]:
    """Start and oracle (once where runs share them), then the runs."""
    found: list[_Mark] = []

    def add(evaluation: Evaluation | None, label: str, style: str, shape: str) -> None:
        x, y = value_at(evaluation, keys[0]), value_at(evaluation, keys[1])
        if x and y and not any((m.style, m.x.value, m.y.value) == (style, x.value, y.value) for m in found):
            found.append(_Mark(label, x, y, style, shape))

    for run in runs:
        add(run.before, "start", "start", "circle")
    for run in runs:
        add(run.oracle_evaluation, "oracle", "oracle", "star")
    for run, one in zip(runs, series(runs), strict=True):
        add(run.after, one.label, f"point s{one.colour}", one.shape)
    return found


def _ideal(frame: svg.Frame, marks: Sequence[_Mark]) -> Markup:
    oracle = next((m for m in marks if m.style == "oracle"), None)
    start = next((m for m in marks if m.style == "start"), None)
    if oracle is None:
        x, y = frame.x.start + 8, frame.y.end + 14
        return svg.element("text", "↖ ideal corner", class_="hint", x=x, y=y)
    x = frame.x(amount(oracle.x))
    parts = [svg.element("line", class_="level", x1=x, x2=x, y1=frame.y.start, y2=frame.y.end)]
    if start and oracle.x.low is not None and oracle.x.high is not None and start.y.low is not None:
        left, right, bottom = frame.x(oracle.x.low), frame.x(oracle.x.high), frame.y(start.y.low)
        parts.append(
            svg.element(
                "rect",
                svg.element("title", "ideal: the oracle's interval on the forget set, at least the start's on retain"),
                class_="ideal",
                x=left,
                y=frame.y.end - 6,
                width=max(right - left, 6.0),
                height=bottom - frame.y.end + 6,
                rx="3",
            )
        )
    return Markup("").join(parts)


def _way(frame: svg.Frame, run: Results, one: Series, keys: tuple[str | None, str | None]) -> Markup:
    """The faint line from the start through the epochs to the end."""
    pairs = [(value_at(e, keys[0]), value_at(e, keys[1])) for e in run.evaluations if e.point != "oracle"]
    points = [(amount(x), amount(y)) for x, y in pairs if x and y]
    return frame.line(points, f"way s{one.colour}") if len(points) > 1 else Markup("")


def _error_bars(frame: svg.Frame, mark: _Mark) -> Markup:
    x, y = frame.x(amount(mark.x)), frame.y(amount(mark.y))
    parts = []
    if mark.x.low is not None and mark.x.high is not None:
        ends = (frame.x(mark.x.low), frame.x(mark.x.high))
        parts.append(svg.element("line", class_=f"error {mark.style}", x1=ends[0], x2=ends[1], y1=y, y2=y))
    if mark.y.low is not None and mark.y.high is not None:
        ends = (frame.y(mark.y.low), frame.y(mark.y.high))
        parts.append(svg.element("line", class_=f"error {mark.style}", x1=x, x2=x, y1=ends[0], y2=ends[1]))
    return Markup("").join(parts)


def _point(frame: svg.Frame, mark: _Mark) -> Markup:
    note = f"{mark.label}\n{_said(mark.x)}\n{_said(mark.y)}"
    return svg.marker(mark.shape, frame.x(amount(mark.x)), frame.y(amount(mark.y)), mark.style, note, r=6.5)


def _said(measure: Measure) -> str:
    return f"{wording.title(measure)} {wording.with_interval(measure)}, n = {measure.count}"


def _point_labels(frame: svg.Frame, marks: Sequence[_Mark]) -> list[Markup]:
    """A label at every point that has a free place near it; the legend names them all."""
    at = [(frame.x(amount(m.x)), frame.y(amount(m.y))) for m in marks]
    taken = [svg.around(x, y) for x, y in at]
    parts = []
    for mark, (x, y) in zip(marks, at, strict=True):
        text = mark.label if len(mark.label) <= _LONGEST_LABEL else mark.label[: _LONGEST_LABEL - 1] + "…"
        spot = svg.place(text, x, y, taken, frame)
        if spot is None:
            continue
        left, base, box = spot
        taken.append(box)
        near = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
        if math.dist(near, (x, y)) > 18:
            parts.append(svg.element("line", class_="leader", x1=x, y1=y, x2=near[0], y2=near[1]))
        parts.append(svg.element("text", text, class_="label", x=left, y=base))
    return parts


def curves(runs: Sequence[Results]) -> list[Panel]:
    """One panel per measure in front, one line per run over its training; the oracle's level dashed."""
    if not any(e.point == "epoch" for run in runs for e in run.evaluations):
        return []
    forms = headline.other_forms_keys(runs)[:1]
    keys = [headline.forgetting_key(runs), *forms, headline.retention_key(runs), headline.utility_key(runs)]
    panels = [_curve(runs, key) for key in dict.fromkeys(key for key in keys if key)]
    return [panel for panel in panels if panel]


def _curve(runs: Sequence[Results], key: str) -> Panel | None:
    drawn = [_trajectory(run, key) for run in runs]
    measures = [m for points in drawn for _, m, _ in points]
    sample = headline.sample(runs, key)
    if not measures or sample is None:
        return None
    levels = {amount(m) for run in runs if (m := value_at(run.oracle_evaluation, key))}
    values = [v for m in measures for v in (m.value, m.low, m.high) if v is not None]
    last = max(step for points in drawn for step, _, _ in points) or 1.0
    frame = svg.Frame.of(340, 230, (0.0, last * 1.02), svg.spread([*values, *levels]))
    parts = [frame.axes("step", "")]
    for one, points in zip(series(runs), drawn, strict=True):
        if len(runs) <= 4:
            parts.append(_band(frame, points, f"band s{one.colour}"))
    for level in levels:
        y = frame.y(level)
        parts.append(svg.element("line", class_="level", x1=frame.x.start, x2=frame.x.end, y1=y, y2=y))
        parts.append(svg.element("text", "oracle", class_="hint", x=frame.x.end, y=y - 5, text_anchor="end"))
    for one, points in zip(series(runs), drawn, strict=True):
        parts.append(frame.line([(step, amount(m)) for step, m, _ in points], f"curve s{one.colour}"))
        for step, m, point in points:
            note = f"{one.label}, {'start' if point == 'before' else f'step {step:g}'}: {wording.with_interval(m)}"
            size = 5.0 if point == "after" else 3.0
            style = f"point s{one.colour}"
            parts.append(svg.marker(one.shape, frame.x(step), frame.y(amount(m)), style, note, r=size))
    arrow = wording.ARROWS[sample.direction]
    return Panel(f"{wording.title(sample)} {arrow}".strip(), frame.svg(parts, f"{wording.title(sample)} over training"))


def _trajectory(run: Results, key: str) -> list[tuple[float, Measure, str]]:
    """Step, measure and point from the start to the end, in order of steps; later stages go on where the last one ended."""
    offset, offsets = 0, {}
    for stage in run.stages:
        offsets[stage.name] = offset
        offset += stage.steps
    found = [
        (float(e.step + offsets.get(e.stage or "", 0)), m, e.point)
        for e in run.evaluations
        if e.point != "oracle" and (m := value_at(e, key))
    ]
    return sorted(found, key=lambda item: item[0])


def _band(frame: svg.Frame, points: Sequence[tuple[float, Measure, str]], class_: str) -> Markup:
    known = [(step, m.low, m.high) for step, m, _ in points if m.low is not None and m.high is not None]
    if len(known) < 2:
        return Markup("")
    edge = [(step, high) for step, _, high in known] + [(step, low) for step, low, _ in reversed(known)]
    path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in edge)
    return svg.element("polygon", points=path, class_=class_)


def losses(runs: Sequence[Results]) -> list[Panel]:
    """One panel per stage of every run: the loss of each term over its steps, on a log scale where it spans much."""
    panels = []
    for run, label in zip(runs, labels(runs), strict=True):
        for stage in run.stages:
            title = label if len(run.stages) == 1 else f"{label}, {stage.name}"
            panel = _loss(run, stage.name, title)
            if panel:
                panels.append(panel)
    return panels


def _loss(run: Results, stage: str, title: str) -> Panel | None:
    steps = run.history(stage)
    terms = list(dict.fromkeys(term for step in steps for term in step.terms))
    lines = {
        term: [(float(s.step), v) for s in steps if (v := s.terms.get(term)) is not None and math.isfinite(v)]
        for term in terms
    }
    width = max(1, math.ceil(max((len(points) for points in lines.values()), default=0) / _MOST_POINTS))
    lines = {term: _windows(points, width) for term, points in lines.items() if points}
    values = [v for points in lines.values() for _, v in points]
    if not values:
        return None
    log = min(values) > 0 and max(values) > 100 * min(values)
    ys = (min(values) / 1.3, max(values) * 1.3) if log else svg.spread(values)
    frame = svg.Frame.of(340, 230, (0.0, max(s.step for s in steps) * 1.02), ys, right=66, log=log)
    parts = [frame.axes("step", "loss" + (", log scale" if log else ""), x_ticks=4)]
    base = -math.inf
    for index, (term, points) in sorted(enumerate(lines.items()), key=lambda item: frame.y(item[1][1][-1][1])):
        parts.append(frame.line(points, f"curve t{index % 4}"))
        base = max(base + svg.LINE, frame.y(points[-1][1]) + 4)
        parts.append(svg.element("text", term[:9], class_=f"label t{index % 4}", x=frame.x.end + 6, y=base))
    lost = sum(1 for s in steps for v in s.terms.values() if v is not None and not math.isfinite(v))
    notes = [f"mean of every {width} steps"] if width > 1 else []
    notes += [f"{lost} values that are not finite left out"] if lost else []
    return Panel(title, frame.svg(parts, f"training loss of {title}"), "; ".join(notes))


def _windows(points: Sequence[tuple[float, float]], width: int) -> list[tuple[float, float]]:
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], sum(v for _, v in group) / len(group)) for group in groups]
