"""What is forgotten against what is kept: the main figure, and the runs' whole paths through their evaluations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import Series, series
from forgetting.report.drawing.scatter import Mark, Spot, draw
from forgetting.report.verdict.intervals import Stop, value_at, way
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results, labels

P_FLOOR = 1e-12
"""Smaller p-values are drawn here: how far below the line is of no interest, and the rest needs the room."""
_LEVEL = 0.05


def tradeoff(runs: Sequence[Results]) -> Markup | None:
    """Forgetting (x) against retention (y): one point per run with 95% intervals, the way there, the start, the oracle.

    The shaded field is what would be ideal: within the oracle's interval on the forget set, at the start's interval or
    above on the retain set. None where no model was measured on both.
    """
    keys = headline_measures.forgetting_key(runs), headline_measures.retention_key(runs)
    marks = _marks(runs, keys)
    if not marks:
        return None
    titles = [_title(runs, key) for key in keys]
    ways = [_pairs(_to_the_kept(way(run, keys))) for run in runs]
    left = [v for mark in marks for v in mark.x.known] + [x for pairs in ways for x, _ in pairs]
    kept = [v for mark in marks for v in mark.y.known] + [y for pairs in ways for _, y in pairs]
    frame = svg.Frame.of(700, 440, svg.spread(left), _upper(kept), right=24)
    parts = [frame.axes(f"{titles[0]} (lower: more forgotten)", f"{titles[1]} (higher: more kept)")]
    parts.append(_ideal(frame, marks))
    parts += [frame.line(pairs, f"way s{one.colour}") for pairs, one in zip(ways, series(runs), strict=True) if pairs]
    hint, base = _hint(frame, marks)
    parts += draw(frame, marks, [svg.Box(hint, base - svg.LINE, hint + 14 * svg.LETTER, base + 4)])
    return frame.svg(parts, f"{titles[0]} against {titles[1]} for {wording.join(labels(runs))}")


@dataclass(frozen=True, slots=True)
class Path:
    """The figure of the runs' paths and what it shows."""

    figure: Markup
    quality: bool
    """Whether its height is the p-value of forget quality; else it is what is left of the forget set."""


def path(runs: Sequence[Results]) -> Path | None:
    """Model utility (x) against forget quality (y, log scale): each run's way through its evaluations.

    Where no run has forget quality on the way, what is left of the forget set is shown, with the oracle's level. A way
    that passes the oracle's and falls off again has forgotten too much. None where nothing was measured on the way.
    """
    utility = headline_measures.overall_key(runs) or headline_measures.utility_key(runs)
    for key in (headline_measures.quality_key(runs), headline_measures.forgetting_key(runs)):
        if any(stop.point == "epoch" for run in runs for stop in way(run, (utility, key))):
            return _path(runs, (utility, key), key == headline_measures.quality_key(runs))
    return None


def _path(runs: Sequence[Results], keys: tuple[str | None, str | None], quality: bool) -> Path:
    marks, ways = _marks(runs, keys), [way(run, keys) for run in runs]
    titles = [_title(runs, key) for key in keys]
    across = [v for mark in marks for v in mark.x.known] + [x for stops in ways for x, _ in _pairs(stops)]
    up = [v for mark in marks for v in mark.y.known] + [y for stops in ways for _, y in _pairs(stops)]
    ys = (max(min(up), P_FLOOR) / 3, 3.0) if quality else svg.spread(up)
    frame = svg.Frame.of(700, 440, _upper(across), ys, right=24, log_y=quality)
    ending = "p-value, log scale" if quality else "lower: more forgotten"
    parts = [frame.axes(f"{titles[0]} (higher: more kept)", f"{titles[1]} ({ending})")]
    parts += _levels(frame, marks, quality)
    taken: list[svg.Box] = []
    for stops, one in zip(ways, series(runs), strict=True):
        parts.append(frame.line(_pairs(_trained(stops)), f"curve s{one.colour}"))
        parts += [_stop(frame, stop, one) for stop in stops if stop.point == "epoch"]
        taken += [svg.around(frame.x(x), frame.y(y), 4) for x, y in _pairs(stops)]
    for stops in ways:
        if stops and stops[-1].point == "epoch":
            parts.append(_end(frame, stops, taken))
    parts += draw(frame, marks, taken)
    return Path(frame.svg(parts, f"paths of {titles[1]} and {titles[0]} for {wording.join(labels(runs))}"), quality)


def _to_the_kept(stops: Sequence[Stop]) -> list[Stop]:
    """Without what was trained beyond the checkpoint that was kept in the end."""
    last = max((stop.step for stop in stops if stop.point == "after"), default=math.inf)
    return [stop for stop in stops if stop.point == "after" or stop.step < last]


def _trained(stops: Sequence[Stop]) -> list[Stop]:
    """One stop a step: the checkpoint that was kept was measured twice, on the way with fewer examples."""
    passed = {stop.step for stop in stops if stop.point == "epoch"}
    return [stop for stop in stops if stop.point != "after" or stop.step not in passed]


def _pairs(stops: Sequence[Stop]) -> list[tuple[float, float]]:
    return [(Spot.of(stop.measures[0]).value, Spot.of(stop.measures[1]).value) for stop in stops]


def _stop(frame: svg.Frame, stop: Stop, one: Series) -> Markup:
    x, y = (Spot.of(measure) for measure in stop.measures)
    note = f"{one.label}, step {stop.step}\n{x.said}\n{y.said}"
    return svg.marker(one.shape, frame.x(x.value), frame.y(y.value), f"point s{one.colour}", note, r=3.0)


def _end(frame: svg.Frame, stops: Sequence[Stop], taken: list[svg.Box]) -> Markup:
    """The number of the last step, where it is not the one that was kept; its room is added to `taken`."""
    x, y = _pairs(stops)[-1]
    text, at = f"step {stops[-1].step}", (frame.x(x), frame.y(y))
    found = svg.place(text, at, [], taken, frame)
    if found is None:
        return Markup("")
    left, base, box = found
    taken.append(box)
    return svg.element("text", text, class_="hint", x=left, y=base)


def _levels(frame: svg.Frame, marks: Sequence[Mark], quality: bool) -> list[Markup]:
    """Where a test begins to tell the run from the oracle, or the oracle's own level."""
    oracle = next((mark.y.value for mark in marks if mark.style == "oracle"), None)
    level, words = (_LEVEL, f"p = {_LEVEL:g}") if quality else (oracle, "oracle’s level")
    if level is None:
        return []
    y = frame.y(level)
    line = svg.element("line", class_="level", x1=frame.x.start, x2=frame.x.end, y1=y, y2=y)
    return [line, svg.element("text", words, class_="hint", x=frame.x.start + 6, y=y - 5)]


def _title(runs: Sequence[Results], key: str | None) -> str:
    measure = headline_measures.sample(runs, key or "")
    return wording.title(measure) if measure else ""


def _upper(values: Sequence[float]) -> tuple[float, float]:
    """The range to draw; where everything lies high in the unit interval only the part that is needed, 0.3 or more."""
    if min(values) > 0.3 and max(values) <= 1:
        return min(math.floor(10 * min(values) - 0.5) / 10, 0.7), 1.02
    return svg.spread(values)


def _marks(runs: Sequence[Results], keys: tuple[str | None, str | None]) -> list[Mark]:
    """Start and oracle (once where runs share them), then the runs."""
    found: list[Mark] = []

    def add(evaluation: Evaluation | None, label: str, style: str, shape: str) -> None:
        measures: list[Measure | None] = [value_at(evaluation, key) for key in keys]
        x, y = (Spot.of(m) if m else None for m in measures)
        if x and y and not any((m.style, m.x.value, m.y.value) == (style, x.value, y.value) for m in found):
            found.append(Mark(label, x, y, style, shape))

    for run in runs:
        add(run.before, "start", "start", "circle")
    for run in runs:
        add(run.oracle_evaluation, "oracle", "oracle", "star")
    for run, one in zip(runs, series(runs), strict=True):
        add(run.after, one.label, f"point s{one.colour}", one.shape)
    return found


def _ideal(frame: svg.Frame, marks: Sequence[Mark]) -> Markup:
    oracle = next((m for m in marks if m.style == "oracle"), None)
    start = next((m for m in marks if m.style == "start"), None)
    hint, base = _hint(frame, marks)
    if oracle is None:
        return svg.element("text", "↖ ideal corner", class_="hint", x=hint, y=base)
    x = frame.x(oracle.x.value)
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


def _hint(frame: svg.Frame, marks: Sequence[Mark]) -> tuple[float, float]:
    """Where the words on the ideal are placed: beside its field, or in the corner."""
    oracle = next((m for m in marks if m.style == "oracle"), None)
    if oracle is None:
        return frame.x.start + 8, frame.y.end + 14
    edge = oracle.x.value if oracle.x.high is None else oracle.x.high
    return frame.x(edge) + 6, frame.y.end + 4
