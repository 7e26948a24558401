"""Points in a plane of two measures: marks with error bars, ways through them, labels that keep apart. Inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.verdict.intervals import amount

_LONGEST_LABEL = 26


@dataclass(frozen=True, slots=True)
class Spot:
    """A value on one axis, its interval, and its words."""

    value: float
    low: float | None
    high: float | None
    said: str

    @classmethod
    def of(cls, measure: Measure) -> Spot:
        """Of a measure that has a value."""
        said = f"{wording.title(measure)} {wording.with_interval(measure)}, n = {measure.count}"
        return cls(amount(measure), measure.low, measure.high, said)

    @property
    def known(self) -> list[float]:
        """The value and the ends of its interval."""
        return [v for v in (self.value, self.low, self.high) if v is not None]


@dataclass(frozen=True, slots=True)
class Mark:
    """One point to draw."""

    label: str
    x: Spot
    y: Spot
    style: str
    shape: str


def draw(frame: svg.Frame, marks: Sequence[Mark], taken: Sequence[svg.Box] = ()) -> list[Markup]:
    """Error bars, then points, then a label at every point that has a free place near it, clear of `taken`."""
    return [
        *(_error_bars(frame, mark) for mark in marks),
        *(_point(frame, mark) for mark in marks),
        *_labels(frame, marks, taken),
    ]


def _error_bars(frame: svg.Frame, mark: Mark) -> Markup:
    x, y = frame.x(mark.x.value), frame.y(mark.y.value)
    parts = []
    if mark.x.low is not None and mark.x.high is not None:
        ends = (frame.x(mark.x.low), frame.x(mark.x.high))
        parts.append(svg.element("line", class_=f"error {mark.style}", x1=ends[0], x2=ends[1], y1=y, y2=y))
    if mark.y.low is not None and mark.y.high is not None:
        ends = (frame.y(mark.y.low), frame.y(mark.y.high))
        parts.append(svg.element("line", class_=f"error {mark.style}", x1=x, x2=x, y1=ends[0], y2=ends[1]))
    return Markup("").join(parts)


def _point(frame: svg.Frame, mark: Mark) -> Markup:
    note = f"{mark.label}\n{mark.x.said}\n{mark.y.said}"
    return svg.marker(mark.shape, frame.x(mark.x.value), frame.y(mark.y.value), mark.style, note, r=6.5)


def _labels(frame: svg.Frame, marks: Sequence[Mark], reserved: Sequence[svg.Box]) -> list[Markup]:
    """Clear of error bars where they can be; pointing at a point names it too."""
    at = [(frame.x(m.x.value), frame.y(m.y.value)) for m in marks]
    taken = [*reserved, *(svg.around(x, y) for x, y in at)]
    bars = [_bars_box(frame, mark, across) for mark in marks for across in (True, False)]
    parts = []
    for mark, (x, y) in zip(marks, at, strict=True):
        text = wording.shortened(mark.label, _LONGEST_LABEL)
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


def _bars_box(frame: svg.Frame, mark: Mark, across: bool) -> svg.Box:
    """The room of an error bar, for labels to keep clear of."""
    x, y = frame.x(mark.x.value), frame.y(mark.y.value)
    spot, scale = (mark.x, frame.x) if across else (mark.y, frame.y)
    ends = [scale(v) for v in (spot.low, spot.high) if v is not None] or [x if across else y]
    return svg.Box(min(ends), y - 2, max(ends), y + 2) if across else svg.Box(x - 2, min(ends), x + 2, max(ends))
