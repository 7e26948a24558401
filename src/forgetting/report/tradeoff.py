"""The main figure: forgetting against retention, one point per run. Inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.report import headline, svg, wording
from forgetting.report.compare import amount, value_at
from forgetting.report.figures import series
from forgetting.report.results import Evaluation, Results, labels

_LONGEST_LABEL = 26


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
    ways = [_way(run, keys) for run in runs]
    left = [v for mark in marks for v in (mark.x.value, mark.x.low, mark.x.high) if v is not None]
    kept = [v for mark in marks for v in (mark.y.value, mark.y.low, mark.y.high) if v is not None]
    left += [x for way in ways for x, _ in way]
    kept += [y for way in ways for _, y in way]
    frame = svg.Frame.of(700, 440, svg.spread(left), _upper(kept), right=24)
    parts = [frame.axes(f"{titles[0]} (lower: more forgotten)", f"{titles[1]} (higher: more kept)")]
    parts.append(_ideal(frame, marks))
    parts += [frame.line(way, f"way s{one.colour}") for way, one in zip(ways, series(runs), strict=True) if way]
    parts += [_error_bars(frame, mark) for mark in marks]
    parts += [_point(frame, mark) for mark in marks]
    parts += _point_labels(frame, marks)
    return frame.svg(parts, f"{titles[0]} against {titles[1]} for {wording.join(labels(runs))}")


def _upper(values: Sequence[float]) -> tuple[float, float]:
    """The range to draw; where everything lies high in the unit interval only the part that is needed, 0.3 or more."""
    if min(values) > 0.3 and max(values) <= 1:
        return min(math.floor(10 * min(values) - 0.5) / 10, 0.7), 1.02
    return svg.spread(values)


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
    hint, base = _hint(frame, marks)
    if oracle is None:
        return svg.element("text", "↖ ideal corner", class_="hint", x=hint, y=base)
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
        parts.append(svg.element("text", "ideal", class_="hint", x=hint, y=base))
    return Markup("").join(parts)


def _hint(frame: svg.Frame, marks: Sequence[_Mark]) -> tuple[float, float]:
    """Where the words on the ideal stand: beside its field, or in the corner."""
    oracle = next((m for m in marks if m.style == "oracle"), None)
    if oracle is None:
        return frame.x.start + 8, frame.y.end + 14
    edge = amount(oracle.x) if oracle.x.high is None else oracle.x.high
    return frame.x(edge) + 6, frame.y.end + 4


def _way(run: Results, keys: tuple[str | None, str | None]) -> list[tuple[float, float]]:
    """The values from the start through the measured steps to the end."""
    pairs = [(value_at(e, keys[0]), value_at(e, keys[1])) for e in run.evaluations if e.point != "oracle"]
    return [(amount(x), amount(y)) for x, y in pairs if x and y]


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
    """A label at every point that has a free place near it, clear of error bars if it can be; the legend names all."""
    at = [(frame.x(amount(m.x)), frame.y(amount(m.y))) for m in marks]
    hint, base = _hint(frame, marks)
    taken = [svg.Box(hint, base - svg.LINE, hint + 14 * svg.LETTER, base + 4)]
    taken += [svg.around(x, y) for x, y in at]
    bars = [_bars_box(frame, mark, across) for mark in marks for across in (True, False)]
    parts = []
    for mark, (x, y) in zip(marks, at, strict=True):
        text = mark.label if len(mark.label) <= _LONGEST_LABEL else mark.label[: _LONGEST_LABEL - 1] + "…"
        others = [point for point in at if point != (x, y)]
        places = (svg.place(text, (x, y), others, avoid, frame) for avoid in ([*taken, *bars], taken))
        spot = next((place for place in places if place), None)
        if spot is None:
            continue
        left, base, box = spot
        taken.append(box)
        if box.distance(x, y) > 18:
            near = box.nearest(x, y)
            parts.append(svg.element("line", class_="leader", x1=x, y1=y, x2=near[0], y2=near[1]))
        parts.append(svg.element("text", text, class_="label", x=left, y=base))
    return parts


def _bars_box(frame: svg.Frame, mark: _Mark, across: bool) -> svg.Box:
    """The room of an error bar, for labels to keep clear of."""
    x, y = frame.x(amount(mark.x)), frame.y(amount(mark.y))
    measure, scale = (mark.x, frame.x) if across else (mark.y, frame.y)
    ends = [scale(v) for v in (measure.low, measure.high) if v is not None] or [x if across else y]
    return svg.Box(min(ends), y - 2, max(ends), y + 2) if across else svg.Box(x - 2, min(ends), x + 2, max(ends))
