"""The distribution of token quality, its share by source, and the losses of both sides over the steps. Inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from markupsafe import Markup

from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import Panel
from forgetting.report.tokens.colours import Words, signed
from forgetting.runs.stage_result import Step
from forgetting.runs.token_selection import Histogram, TokenSelection

WIDTH = 460.0
LEARNT, FORGOTTEN = "s0", "s1"
"""Blue and orange: distinguishable by colour-blind readers too."""
_MOST_POINTS = 240
"""Points of a curve; longer histories are averaged in windows."""
_HEAD = 40.0
"""Room above a histogram for the names of its sides, pixels."""

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class SourceBar:
    """One source: its tokens, how many of them are negative, their share, and the share as a bar."""

    source: str
    tokens: str
    negative: str
    share: str
    bar: Markup


def histograms(selection: TokenSelection, words: Words) -> list[Panel]:
    """Q over all tokens: with bars as long as there are tokens, and on a log scale, where the tails can be seen."""
    if selection.histogram is None or not any(selection.histogram.counts):
        return []
    unit = selection.unit
    return [
        Panel(f"How many {unit} have which quality", _histogram(selection, selection.histogram, words, log=False)),
        Panel(
            "The same with its tails",
            _histogram(selection, selection.histogram, words, log=True),
            "log scale: heights are powers of ten, not shares",
        ),
    ]


def _histogram(selection: TokenSelection, bars: Histogram, words: Words, *, log: bool) -> Markup:
    height, unit, at = 270.0, selection.unit, selection.threshold
    one = 100 / bars.total
    most = one * max(bars.counts)
    # On a log scale the axis begins below a single token, so that every bar that holds any can be seen.
    ys = (one * 0.7, most * 1.4) if log else (0.0, most * 1.05)
    frame = svg.Frame(
        WIDTH, height, svg.Scale(bars.edges[0], bars.edges[-1], 52, WIDTH - 14), svg.Scale(*ys, height - 44, _HEAD, log)
    )
    parts = [frame.axes("quality Q, nats", f"% of {unit}" + (", log scale" if log else ""))]
    for low, high, count in zip(bars.edges, bars.edges[1:], bars.counts, strict=False):
        if count:
            note = f"Q {signed(low)} to {signed(high)}: {wording.count(count)} {unit}"
            parts += _bar(frame, (low, high), one * count, note, at)
    if at is not None and bars.edges[0] <= at <= bars.edges[-1]:
        parts += _divide(frame, at, _below(selection, words))
    return frame.svg(parts, f"histogram of the quality of {wording.count(bars.total)} {unit}")


def _bar(frame: svg.Frame, ends: tuple[float, float], value: float, note: str, at: float | None) -> list[Markup]:
    """One bar; that of the threshold is cut there, since its height holds on both sides."""
    low, high = ends
    cuts = [low, at, high] if at is not None and low < at < high else [low, high]
    found = []
    for left, right in pairwise(cuts):
        colour = FORGOTTEN if at is not None and right <= at else LEARNT if at is not None else "both"
        x, y = frame.x(left), frame.y(value)
        wide = max(frame.x(right) - x - (0.6 if right == high else 0.0), 0.4)
        mark = {"x": x, "y": y, "width": wide, "height": frame.y.start - y}
        found.append(svg.element("rect", svg.element("title", note), class_=f"bar {colour}", **mark))
    return found


def _divide(frame: svg.Frame, at: float, below: str) -> list[Markup]:
    """The threshold as a line with its value above it, and the names of both sides beside it."""
    x = frame.x(at)
    name = min(max(x, frame.x.start + 30), frame.x.end - 50)
    return [
        svg.element("line", class_="threshold", x1=x, x2=x, y1=18.0, y2=frame.y.start),
        svg.element("text", f"threshold {signed(at)}", class_="end", x=name, y=12.0, text_anchor="middle"),
        svg.element("text", f"← {below}", class_=f"side {FORGOTTEN}", x=x - 7, y=30.0, text_anchor="end"),
        svg.element("text", "learnt →", class_=f"side {LEARNT}", x=x + 7, y=30.0),
    ]


def _below(selection: TokenSelection, words: Words) -> str:
    both = selection.ignored and selection.negative and words.negative != "ignored"
    return "forgotten or ignored" if both else words.negative if selection.negative else "ignored"


def source_bars(selection: TokenSelection) -> list[SourceBar]:
    """Every source with its share of negative tokens, the greatest first; the thin line is the share of them all."""
    known = [one for one in selection.sources if one.tokens]
    tokens, negative = sum(one.tokens for one in known), sum(one.negative for one in known)
    if not tokens:
        return []
    overall = negative / tokens
    ordered = sorted(known, key=lambda one: (-one.negative / one.tokens, one.source))
    rows = [(one.source, one.tokens, one.negative) for one in ordered]
    rows += [("all", tokens, negative)] if len(rows) > 1 else []
    return [
        SourceBar(name, wording.count(n), wording.count(bad), percent(bad / n), _share_bar(bad / n, overall))
        for name, n, bad in rows
    ]


def _share_bar(share: float, overall: float) -> Markup:
    width, height = 220.0, 14.0
    parts = [
        svg.element("rect", class_="track", x=0.0, y=1.0, width=width, height=height - 2),
        svg.element("rect", class_=f"bar {FORGOTTEN}", x=0.0, y=1.0, width=width * share, height=height - 2),
        svg.element("line", class_="threshold", x1=width * overall, x2=width * overall, y1=0.0, y2=height),
    ]
    box = f"0 0 {width:g} {height:g}"
    inside = Markup("").join(parts)
    return svg.element("svg", inside, viewBox=box, width=f"{width:g}", height=f"{height:g}", aria_hidden="true")


def percent(share: float | None) -> str:
    """A share in per cent, three digits: `70.0 %`."""
    return wording.ABSENT if share is None else f"{wording.number(100 * share)}\N{NO-BREAK SPACE}%"


def forgets(steps: Sequence[Step]) -> bool:
    """Whether the negative tokens had a weight on any step; without a history they are taken to have one."""
    return not steps or any(step.weights.get("negative") for step in steps)


def quality_curves(steps: Sequence[Step], words: Words) -> list[Panel]:
    """Both losses over the steps, and λ in a figure of its own: two units never share one axis."""
    names = {"positive": ("learnt", LEARNT), "negative": (words.negative, FORGOTTEN)}
    lines = {term: [(float(s.step), v) for s in steps if _finite(v := s.terms.get(term))] for term in names}
    window = max(1, math.ceil(max(len(points) for points in lines.values()) / _MOST_POINTS))
    drawn = [(*names[term], _windows(points, window)) for term, points in lines.items() if points]
    if not any(term == "negative" and points for term, points in lines.items()):
        return []
    note = f"mean of every {window} steps" if window > 1 else ""
    panels = [Panel("Loss per token, unweighted", _lines(drawn, "loss, nats", "loss of both kinds of token"), note)]
    weights = [(float(s.step), -w) for s in steps if _finite(w := s.weights.get("negative"))]
    if any(value for _, value in weights):
        thin = [*weights[: -1 : max(1, len(weights) // _MOST_POINTS)], weights[-1]]
        figure = _lines([("λ", FORGOTTEN, thin)], "", "weight of forgetting")
        panels.append(Panel("λ, the weight of forgetting", figure, "loss = learnt − λ · forgotten"))
    return panels


def losses_in_words(steps: Sequence[Step], words: Words) -> str:
    """How both losses went, from the mean of the first to that of the last tenth of the steps."""
    told = []
    for term, name in (("positive", "learnt"), ("negative", words.negative)):
        values = [v for s in steps if _finite(v := s.terms.get(term))]
        if len(values) < 2:
            return ""
        part = max(1, len(values) // 10)
        first, last = sum(values[:part]) / part, sum(values[-part:]) / part
        told.append(f"of the {name} tokens went from {wording.number(first)} to {wording.number(last)}")
    return f"From the first to the last tenth of the steps the loss {told[0]}, that {told[1]}."


def _lines(drawn: Sequence[tuple[str, str, Points]], y_title: str, name: str) -> Markup:
    values = [v for _, _, points in drawn for _, v in points]
    last = max(step for _, _, points in drawn for step, _ in points)
    low, high = min(0.0, min(values)), max(values)
    frame = svg.Frame.of(WIDTH, 230, (0.0, last * 1.02), (low, high * 1.06 if high > 0 else 1.0), right=76)
    parts = [frame.axes("step", y_title, x_ticks=4, x_text=wording.count)]
    base = -math.inf
    for index, (label, colour, points) in sorted(enumerate(drawn), key=lambda one: frame.y(one[1][2][-1][1])):
        parts.append(frame.line(points, f"curve {colour} dash{index}"))
        base = max(base + svg.LINE, frame.y(points[-1][1]) + 4)
        parts.append(svg.element("text", label, class_=f"side {colour}", x=frame.x.end + 6, y=base))
    return frame.svg(parts, name)


def _windows(points: Points, width: int) -> Points:
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], sum(v for _, v in group) / len(group)) for group in groups]


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
