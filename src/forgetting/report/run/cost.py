"""What runs took, and what they reached for it. Inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.report import headline_measures, wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import series
from forgetting.report.drawing.scatter import Mark, Spot, draw
from forgetting.report.verdict.intervals import amount, value_at
from forgetting.runs.cost import flops_parts, flops_reason, method_flops
from forgetting.runs.results import Results

_BALANCE = {"start": 0.0, "oracle": 1.0}
"""What balance is of them by its definition: they are not measured by it."""


def _method_seconds(run: Results) -> float | None:
    if run.cost.train_seconds is None:
        return None
    return run.cost.train_seconds + (run.cost.prepare_seconds or 0.0)


@dataclass(frozen=True, slots=True)
class Bill:
    """One run's line in the table of costs, as text where numbers are summed."""

    epochs: str
    flops: str
    parts: tuple[str, ...]
    reason: str


def bills(runs: Sequence[Results]) -> list[Bill]:
    """One line per run; where evaluations were not counted, the sum is that of the rest and the reason says so."""
    found = []
    for run in runs:
        total = run.cost.flops.get("total")
        parts = flops_parts(run)
        known = total if isinstance(total, int | float) else method_flops(run)
        said = tuple(f"{wording.plain(name)} {wording.flops(value)}" for name, value in parts)
        epochs = " + ".join(wording.number(stage.epochs) for stage in run.stages) or wording.ABSENT
        found.append(Bill(epochs, wording.flops(known), said, flops_reason(run)))
    return found


def cost_figure(runs: Sequence[Results]) -> Markup | None:
    """FLOPs of preparing and training (seconds where a run has none) against the main score, one point per run.

    None for a single run, or where fewer than two have both.
    """
    key = headline_measures.score_key(runs)
    sample = headline_measures.sample(runs, key or "")
    costs = [method_flops(run) for run in runs]
    in_flops = all(costs)
    say = wording.flops if in_flops else wording.seconds
    if not in_flops:
        costs = [_method_seconds(run) for run in runs]
    marks = []
    for run, one, label, cost in zip(runs, series(runs), _what(runs), costs, strict=True):
        if cost and (score := value_at(run.after, key)):
            marks.append(
                Mark(label, Spot(cost, None, None, say(cost)), Spot.of(score), f"point s{one.colour}", one.shape)
            )
    if len(marks) < 2 or sample is None:
        return None
    levels = {(name, value) for run in runs for name, value in _levels(run, key)}
    xs = [mark.x.value for mark in marks]
    log = max(xs) > 10 * min(xs)
    wide = (min(xs) / 1.6, max(xs) * 1.6) if log else (0.0, 1.12 * max(xs))
    ys = svg.spread([v for mark in marks for v in mark.y.known] + [value for _, value in levels])
    frame = svg.Frame.of(700, 380, wide, ys, right=60, log_x=log)
    what = "FLOPs" if in_flops else "seconds"
    title = f"{what} of preparing and training" + (", log scale" if log else "")
    score_title = wording.heading(sample)
    parts = [frame.axes(title, score_title, x_text=say)]
    parts += [frame.level(value, name) for name, value in sorted(levels)]
    return frame.svg([*parts, *draw(frame, marks)], f"{score_title} against {what}")


def _levels(run: Results, key: str | None) -> list[tuple[str, float]]:
    """The score of the start and of the oracle, where there are these."""
    found = []
    for name, evaluation in (("start", run.before), ("oracle", run.oracle_evaluation)):
        measure = value_at(evaluation, key)
        if measure is not None:
            found.append((name, amount(measure)))
        elif evaluation is not None and key == "all/balance":
            found.append((name, _BALANCE[name]))
    return found


def _what(runs: Sequence[Results]) -> list[str]:
    """Method, adapter and rank of each run, followed by its name where that is not enough to tell it from others."""
    words = []
    for run in runs:
        stage = run.stages[-1] if run.stages else None
        words.append(", ".join(filter(None, [stage.method, *stage.adapter.split(", ")[:2]])) if stage else "")
    names = [one.label for one in series(runs)]
    return [name if words.count(word) > 1 or not word else word for name, word in zip(names, words, strict=True)]
