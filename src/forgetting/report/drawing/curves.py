"""How runs are drawn, and the curves over a run: measures and training loss per term. Inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.drawing import svg
from forgetting.report.verdict.intervals import amount, value_at, way
from forgetting.runs.results import Results, labels
from forgetting.runs.stage_result import Step

COLOURS = 8
_MOST_POINTS = 240
"""Points of a training curve; longer histories are averaged in windows."""
_MOST_PANELS = 6


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
    """Of runs, by their labels."""
    return styled(labels(runs))


def styled(names: Sequence[str]) -> list[Series]:
    """Colours and shapes by place; past eight names the shapes shift, so that no two look alike up to 64."""
    shapes = svg.SHAPES
    return [Series(name, i % COLOURS, shapes[(i + i // COLOURS) % len(shapes)]) for i, name in enumerate(names)]


def legend_mark(one: Series) -> Markup:
    """The mark of a run for tables and legends."""
    mark = svg.marker(one.shape, 8, 8, f"point s{one.colour}")
    return svg.element("svg", mark, class_="key", viewBox="0 0 16 16", width="16", height="16", aria_hidden="true")


def curves(runs: Sequence[Results]) -> list[Panel]:
    """One panel per measure in front, one line per run over its training; the oracle's level dashed.

    Those in front that were measured on the way; where that are not even two, the table's first columns that were.
    """
    if not any(e.point == "epoch" for run in runs for e in run.evaluations):
        return []
    forms = headline_measures.other_forms_keys(runs)[:1]
    keys = [
        headline_measures.forgetting_key(runs),
        *forms,
        headline_measures.retention_key(runs),
        headline_measures.learning_key(runs),
        headline_measures.utility_key(runs),
    ]
    found = [key for key in dict.fromkeys(key for key in keys if key) if _on_the_way(runs, key)]
    if len(found) < 2:
        columns = [key for key in headline_measures.headline_keys(runs) if _on_the_way(runs, key)]
        found = list(dict.fromkeys([*found, *columns]))[:_MOST_PANELS]
    width = 460.0 if len(found) in {2, 4} else 340.0
    panels = [_curve(runs, key, width) for key in found]
    return [panel for panel in panels if panel]


def _on_the_way(runs: Sequence[Results], key: str) -> bool:
    return any(value_at(e, key) for run in runs for e in run.evaluations if e.point == "epoch")


def _curve(runs: Sequence[Results], key: str, width: float) -> Panel | None:
    drawn = [_trajectory(run, key) for run in runs]
    measures = [m for points in drawn for _, m, _ in points]
    sample = headline_measures.sample(runs, key)
    if not measures or sample is None:
        return None
    levels = {amount(m) for run in runs if (m := value_at(run.oracle_evaluation, key))}
    values = [v for m in measures for v in (m.value, m.low, m.high) if v is not None]
    last = max(step for points in drawn for step, _, _ in points) or 1.0
    frame = svg.Frame.of(width, 230, (0.0, last * 1.02), svg.spread([*values, *levels]), right=46)
    parts = [frame.axes("step", "")]
    for one, points in zip(series(runs), drawn, strict=True):
        if len(runs) <= 4:
            parts.append(frame.band([(step, m.low, m.high) for step, m, _ in points], f"band s{one.colour}"))
    parts += [frame.level(level, "oracle") for level in levels]
    for one, points in zip(series(runs), drawn, strict=True):
        parts.append(frame.line([(step, amount(m)) for step, m, _ in points], f"curve s{one.colour}"))
        for step, m, point in points:
            note = f"{one.label}, {'start' if point == 'before' else f'step {step:g}'}: {wording.with_interval(m)}"
            size = 5.0 if point == "after" else 3.0
            style = f"point s{one.colour}"
            parts.append(svg.marker(one.shape, frame.x(step), frame.y(amount(m)), style, note, r=size))
    return Panel(wording.heading(sample), frame.svg(parts, f"{wording.title(sample)} over training"))


def _trajectory(run: Results, key: str) -> list[tuple[float, Measure, str]]:
    """Step, measure and point from the start to the end."""
    return [(float(stop.step), stop.measures[0], stop.point) for stop in way(run, (key,))]


def losses(runs: Sequence[Results]) -> list[Panel]:
    """One panel per stage of every run: the loss of each term over its steps, on a log scale where it spans much."""
    found = [
        (one, one.label if len(run.stages) == 1 else f"{one.label}, {stage.name}", run.history(stage.name))
        for run, one in zip(runs, series(runs), strict=True)
        for stage in run.stages
    ]
    found = [item for item in found if item[2]]
    width = 460.0 if len(found) in {1, 2, 4} else 340.0
    panels = [_loss(steps, title, f"s{one.colour}", width) for one, title, steps in found]
    return [panel for panel in panels if panel]


def _loss(steps: Sequence[Step], title: str, colour: str, width: float) -> Panel | None:
    terms = list(dict.fromkeys(term for step in steps for term in step.terms))
    lines = {
        term: [(float(s.step), v) for s in steps if (v := s.terms.get(term)) is not None and math.isfinite(v)]
        for term in terms
    }
    window = max(1, math.ceil(max((len(points) for points in lines.values()), default=0) / _MOST_POINTS))
    lines = {term: _windows(points, window) for term, points in lines.items() if points}
    values = [v for points in lines.values() for _, v in points]
    if not values:
        return None
    log = min(values) > 0 and max(values) > 100 * min(values)
    ys = (min(values) / 1.3, max(values) * 1.3) if log else svg.spread(values)
    frame = svg.Frame.of(width, 230, (0.0, max(s.step for s in steps) * 1.02), ys, right=66, log_y=log)
    parts = [frame.axes("step", "loss" + (", log scale" if log else ""), x_ticks=4)]
    base = -math.inf
    for index, (term, points) in sorted(enumerate(lines.items()), key=lambda item: frame.y(item[1][1][-1][1])):
        parts.append(frame.line(points, f"curve {colour} dash{index % 4}"))
        base = max(base + svg.LINE, frame.y(points[-1][1]) + 4)
        parts.append(svg.element("text", term[:9], class_="end", x=frame.x.end + 6, y=base))
    lost = sum(1 for s in steps for v in s.terms.values() if v is not None and not math.isfinite(v))
    notes = [f"mean of every {window} steps"] if window > 1 else []
    notes += [f"{lost} values that are not finite left out"] if lost else []
    return Panel(title, frame.svg(parts, f"training loss of {title}"), "; ".join(notes))


def _windows(points: Sequence[tuple[float, float]], width: int) -> list[tuple[float, float]]:
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], sum(v for _, v in group) / len(group)) for group in groups]
