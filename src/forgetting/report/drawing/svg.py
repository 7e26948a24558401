"""Small parts of inline SVG: elements with escaped text, scales with round ticks, axes, markers, labels kept apart.

Written as markup and not drawn by a script, so that a page full of hostile generated text can forbid all scripts;
colours come from the page's style sheet, so figures follow its light and dark dress.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from forgetting.report.wording import SUPERSCRIPT

LETTER = 7.0
"""Assumed width of a letter of a label, pixels: a little too wide, so that labels keep apart in every font."""
LINE = 15.0
_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"')
SHAPES = ("circle", "square", "diamond", "triangle", "down", "cross", "plus", "star")


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """`<tag a="b">…</tag>`; text and attributes are escaped, `class_` is `class`, `stroke_width` is `stroke-width`."""
    written = [
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), f"{v:.2f}" if isinstance(v, float) else v)
        for name, v in attributes.items()
        if v is not None
    ]
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(tag, Markup("").join(written), inside)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels, linear or by powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(max(v, 1e-300)) if self.log else v for v in (self.low, self.high, value))
        part = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values within the scale, about `count` of them."""
        return _powers(self.low, self.high) if self.log else _round_steps(self.low, self.high, count)


def spread(values: Iterable[float], pad: float = 0.05) -> tuple[float, float]:
    """The range to draw: the unit interval with a margin for shares, the padded range for anything else."""
    kept = [v for v in values if math.isfinite(v)]
    if not kept:
        return 0.0, 1.0
    low, high = min(kept), max(kept)
    if low >= 0 and high <= 1 and high > 0.1:
        return -0.02, 1.03
    room = pad * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room


def tick_text(value: float) -> str:
    """A tick as short as it gets: `0.2`, `−1`, `10k`, `10⁻⁶`."""
    size = abs(value)
    if size >= 10_000:
        text = f"{value / 1e6:g}M" if size >= 1e6 else f"{value / 1e3:g}k"
    else:
        text = f"{value:.4g}" if size >= 1_000 else f"{value:.3g}"
        if 0 < size < 1e-3:
            digit, power = f"{value:.0e}".split("e")
            text = f"{digit}·10".removeprefix("1·") + str(int(power)).translate(SUPERSCRIPT)
    return text.replace("-", "−")


def tick_texts(ticks: Sequence[float], text: Callable[[float], str] = tick_text) -> list[tuple[float, str]]:
    """Each tick with its text, no text twice: shares of a thousandth get more digits, and what no digit tells apart
    (seconds, FLOPs) is left out."""
    said = [text(tick) for tick in ticks]
    if text is tick_text and len(set(said)) < len(said):
        digits = next(d for d in range(3, 18) if len({f"{tick:.{d}g}" for tick in ticks}) == len(ticks))
        said = [f"{tick:.{digits}g}".replace("-", "−") for tick in ticks]
    return [(tick, words) for i, (tick, words) in enumerate(zip(ticks, said, strict=True)) if words not in said[:i]]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot area with its scales; `parts` inside it are drawn by the caller."""

    width: float
    height: float
    x: Scale
    y: Scale

    @classmethod
    def of(
        cls,
        width: float,
        height: float,
        xs: tuple[float, float],
        ys: tuple[float, float],
        *,
        right: float = 14,
        log_x: bool = False,
        log_y: bool = False,
    ) -> Frame:
        """A frame with room for tick labels at the left and bottom, and `right` pixels at the right."""
        return cls(width, height, Scale(*xs, 52, width - right, log_x), Scale(*ys, height - 44, 14, log_y))

    def axes(
        self,
        x_title: str,
        y_title: str,
        *,
        x_ticks: int = 5,
        x_text: Callable[[float], str] = tick_text,
        y_text: Callable[[float], str] = tick_text,
    ) -> Markup:
        """Grid lines, tick labels and titles."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = []
        for tick, words in tick_texts(self.y.ticks(), y_text):
            y = self.y(tick)
            parts.append(element("line", class_="grid", x1=left, x2=right, y1=y, y2=y))
            parts.append(element("text", words, class_="tick", x=left - 7, y=y + 4, text_anchor="end"))
        for tick, words in tick_texts(self.x.ticks(x_ticks), x_text):
            x = self.x(tick)
            parts.append(element("line", class_="mark", x1=x, x2=x, y1=bottom, y2=bottom + 4))
            parts.append(element("text", words, class_="tick", x=x, y=bottom + 17, text_anchor="middle"))
        parts.append(element("line", class_="axis", x1=left, x2=right, y1=bottom, y2=bottom))
        middle = (left + right) / 2
        parts.append(element("text", x_title, class_="title", x=middle, y=self.height - 6, text_anchor="middle"))
        if y_title:
            turn = f"translate(13 {(bottom + top) / 2:.1f}) rotate(-90)"
            parts.append(element("text", y_title, class_="title", transform=turn, text_anchor="middle"))
        return Markup("").join(parts)

    def line(self, points: Iterable[tuple[float, float]], class_: str) -> Markup:
        """A polyline through value pairs."""
        path = " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in points)
        return element("polyline", points=path, class_=class_, fill="none")

    def band(self, ends: Iterable[tuple[float, float | None, float | None]], class_: str) -> Markup:
        """The area between the lower and the upper ends at each x; nothing where fewer than two places have both."""
        known = [(x, low, high) for x, low, high in ends if low is not None and high is not None]
        if len(known) < 2:
            return Markup("")
        edge = [(x, high) for x, _, high in known] + [(x, low) for x, low, _ in reversed(known)]
        path = " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in edge)
        return element("polygon", points=path, class_=class_)

    def level(self, y: float, name: str) -> Markup:
        """A dashed line across at a value, with its name beside it at the right."""
        at = self.y(y)
        line = element("line", class_="level", x1=self.x.start, x2=self.x.end, y1=at, y2=at)
        return line + element("text", name, class_="hint", x=self.x.end + 6, y=at + 4)

    def svg(self, parts: Sequence[Markup], name: str) -> Markup:
        """The finished figure; `name` is what a screen reader says."""
        return finished(parts, self.width, self.height, name)


def finished(parts: Sequence[Markup], width: float, height: float, name: str) -> Markup:
    """The `svg` element around parts, in pixels; `name` is what a screen reader says."""
    return element(
        "svg",
        Markup("").join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=name,
    )


def size_of(svg: str) -> tuple[float, float]:
    """Width and height of an `svg` element that begins a text, pixels.

    Raises:
        ValueError: it does not say them.
    """
    found = _SIZE.match(svg)
    if found is None:
        raise ValueError("a figure says its width and height")
    return float(found[1]), float(found[2])


def marker(shape: str, x: float, y: float, class_: str, note: str = "", r: float = 5.5) -> Markup:
    """A point; `note` appears when it is pointed at."""
    inside = element("title", note) if note else Markup("")
    if shape == "circle":
        return element("circle", inside, cx=x, cy=y, r=r, class_=class_)
    return element("path", inside, d=_outline(shape, x, y, r), class_=class_)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that labels keep away from, pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def distance(self, x: float, y: float) -> float:
        """From the point to the nearest edge, 0 inside."""
        return math.dist((x, y), self.nearest(x, y))

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to another."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


def around(x: float, y: float, r: float = 8) -> Box:
    """The box of a marker."""
    return Box(x - r, y - r, x + r, y + r)


def place(
    text: str, at: tuple[float, float], others: Sequence[tuple[float, float]], taken: Sequence[Box], frame: Frame
) -> tuple[float, float, Box] | None:
    """Where the label of the point `at` goes: left end and base line, and its box; None where no near place is free.

    Of the free places at the least distance, the one that is farthest from the `others`, so that no label seems theirs.
    """
    for distance in (11.0, 20.0, 30.0):
        spots = [_spot(text, at, distance, angle) for angle in (0, 180, 270, 90, 315, 45, 225, 135)]
        free = [box for box in spots if _inside(box, frame) and not any(box.meets(other) for other in taken)]
        if free:
            best = max(free, key=lambda box: min((box.distance(*point) for point in others), default=0.0))
            return best.left, best.bottom - LINE / 2 + 4, best
    return None


def _spot(text: str, at: tuple[float, float], distance: float, angle: int) -> Box:
    dx, dy = distance * math.cos(math.radians(angle)), distance * math.sin(math.radians(angle))
    wide = LETTER * len(text)
    left = at[0] + dx - (0.0 if dx > 1 else wide if dx < -1 else wide / 2)
    return Box(left, at[1] + dy - LINE / 2, left + wide, at[1] + dy + LINE / 2)


def _inside(box: Box, frame: Frame) -> bool:
    sideways = box.left >= frame.x.start + 2 and box.right <= frame.width - 2
    return sideways and box.top >= 0 and box.bottom <= frame.y.start


def _outline(shape: str, x: float, y: float, r: float) -> str:
    corners = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "triangle": [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        "down": [(0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
        "cross": _turned(_PLUS, 45),
        "plus": _PLUS,
        "star": _STAR,
    }[shape]
    return "M" + "L".join(f"{x + r * a:.1f} {y + r * b:.1f}" for a, b in corners) + "Z"


def _turned(corners: Sequence[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(a * c - b * s, a * s + b * c) for a, b in corners]


_STAR = [_turned([(0, -1.35 if i % 2 == 0 else -0.55)], 36 * i)[0] for i in range(10)]
_PLUS = [(-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)]
_PLUS += [(-a, -b) for a, b in _PLUS]


def _round_steps(low: float, high: float, count: int) -> list[float]:
    if not high > low:
        return [low]
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    powers = list(range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1))
    if len(powers) <= 3:
        return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    powers = [p for p in powers if 10.0**p >= low * (1 - 1e-9)]
    return [10.0**p for p in reversed(powers[:: -max(1, len(powers) // 5)])]
