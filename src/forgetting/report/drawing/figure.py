"""Series of an analysis as figures: small multiples with a legend each. Inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup

from forgetting.core.series import Series
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import COLOURS

_WIDTH, _HEIGHT = 460.0, 250.0
_MOST_BANDS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One series as it is drawn."""

    label: str
    series: Series
    colour: int

    names: tuple[str, ...] = ()
    """Names along the axis, in order; empty: it is one of numbers."""

    def place(self, x: float | str) -> float:
        """Where it stands: a number, or the place of a name."""
        return float(self.names.index(str(x))) if self.names else float(x)

    @property
    def known(self) -> list[tuple[float, float]]:
        """Its places with a value."""
        return [(self.place(x), y) for x, y in zip(self.series.x, self.series.y, strict=True) if y is not None]

    @property
    def ends(self) -> list[tuple[float, float | None, float | None]]:
        """The interval at each place; empty if it has none."""
        series = self.series
        return [(self.place(x), low, high) for x, low, high in zip(series.x, series.low, series.high, strict=False)]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, the words above it and the legend below."""

    title: str
    figure: Markup
    legend: tuple[tuple[Markup, str], ...]
    note: str = ""


def draw(title: str, lines: Sequence[Line]) -> Figure | None:
    """All lines on common axes, their intervals as bands; None where no place has a value.

    Of lines of one colour the first is whole, and the others are dashed, each in another way.

    Single points have an interval each, and no band from one to the next.
    """
    places = [x for line in lines for x in line.series.x]
    names = tuple(dict.fromkeys(map(str, places))) if any(isinstance(x, str) for x in places) else ()
    lines = [named for line in lines if (named := replace(line, names=names)).known]
    if not lines:
        return None
    xs = [x for line in lines for x, _ in line.known]
    ends = [v for line in lines for v in (*line.series.low, *line.series.high) if v is not None]
    values = [y for line in lines for _, y in line.known]
    low, high = min(xs), max(xs)
    room = 0.02 * (high - low) or 0.5
    frame = svg.Frame.of(_WIDTH, _HEIGHT, (low - room, high + room), svg.spread([*values, *ends]))
    first = lines[0].series
    parts = [
        frame.axes(
            first.x_label, "", x_ticks=max(5, len(names)), x_text=partial(_tick, names) if names else svg.tick_text
        )
    ]
    if len(lines) <= _MOST_BANDS:
        parts += [_interval(frame, line) for line in lines]
    dashes = [_dash(lines, number) for number in range(len(lines))]
    parts += [_drawn(frame, line, number, dashes[number]) for number, line in enumerate(lines)]
    legend = tuple((_key(line, number, dashes[number]), line.label) for number, line in enumerate(lines))
    labels = ", ".join(line.label for line in lines)
    return Figure(title, frame.svg(parts, f"{first.y_label} against {first.x_label}: {labels}"), legend)


def _tick(names: Sequence[str], value: float) -> str:
    if not names:
        return svg.tick_text(value)
    return names[int(value)] if value.is_integer() and 0 <= value < len(names) else ""


def _interval(frame: svg.Frame, line: Line) -> Markup:
    style = f"s{line.colour % COLOURS}"
    if not line.series.points:
        return frame.band(line.ends, f"band {style}")
    known = [(frame.x(x), frame.y(low), frame.y(high)) for x, low, high in line.ends if None not in (low, high)]  # type: ignore[arg-type]
    return Markup("").join(
        svg.element("line", class_=f"error {style}", x1=x, x2=x, y1=low, y2=high) for x, low, high in known
    )


def _dash(lines: Sequence[Line], number: int) -> str:
    same = sum(line.colour % COLOURS == lines[number].colour % COLOURS for line in lines[:number])
    return f"dash{same % 4}"


def _drawn(frame: svg.Frame, line: Line, number: int, dash: str) -> Markup:
    style = f"s{line.colour % COLOURS}"
    if line.series.points or len(line.known) == 1:
        shape = svg.SHAPES[number % len(svg.SHAPES)]
        marks = [svg.marker(shape, frame.x(x), frame.y(y), f"point {style}", r=3.0) for x, y in line.known]
        return Markup("").join(marks)
    return frame.line(line.known, f"curve {style} {dash}")


def _key(line: Line, number: int, dash: str) -> Markup:
    style = f"s{line.colour % COLOURS}"
    if line.series.points:
        mark = svg.marker(svg.SHAPES[number % len(svg.SHAPES)], 8, 8, f"point {style}", r=4.0)
    else:
        mark = svg.element("polyline", points="0,8 16,8", class_=f"curve {style} {dash}", fill="none")
    return svg.element("svg", mark, class_="key", viewBox="0 0 16 16", width="16", height="16", aria_hidden="true")
