"""A run or a sweep while it goes on, in words, tables and plain values: for a terminal and for other programs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.report import headline_measures, wording
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.not_a_run import no_run
from forgetting.runs.paths import RunPaths
from forgetting.runs.progress import RunProgress, StageProgress, progress_of, works_in
from forgetting.runs.results import Results
from forgetting.runs.stage_result import Step
from forgetting.runs.sweep_progress import PointProgress, PointState, SweepProgress, holds_runs, sweep_progress_of

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_ORDER: tuple[PointState, ...] = (
    "running",
    "failed",
    "stopped",
    "waiting",
    "not run",
    "pruned",
    "collapsed",
    "complete",
)
"""What can still go wrong or has, first."""
_SHOWN = {"complete": "finished"}

Table = tuple[list[str], list[list[str]]]
"""Headers and rows."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One look at a run or a sweep."""

    headline: str
    tables: tuple[Table, ...]
    values: Mapping[str, Any]
    """The same for other programs."""
    goes_on: bool
    """Whether another look may show more."""


def watched(folder: Path, ended: dict[Path, RunProgress] | None = None) -> Watched:
    """A look at the run or the sweep in a folder; it reads files and writes none.

    Args:
        folder: of a run, a sweep, or runs.
        ended: see `sweep_progress_of`.

    Raises:
        RunError: it is neither, or a file of it is damaged.
    """
    if not RunPaths(folder).is_run and not RunPaths(folder).is_finished:
        if holds_runs(folder):
            return _of_sweep(sweep_progress_of(folder, ended))
        if not works_in(folder):
            raise RunError(f"{folder}: {no_run(folder, 'the folder of a run or of a sweep')}")
    return _of_run(progress_of(folder))


def sparkline(values: Sequence[float | None], width: int = _WIDTH) -> str:
    """The values as a row of bars from their lowest to their highest, averaged to at most `width` of them.

    `·` stands where no value is a finite number.
    """
    size = max(1, math.ceil(len(values) / width))
    finite = [_finite(value) for value in values]
    parts = [[v for v in finite[at : at + size] if v is not None] for at in range(0, len(finite), size)]
    means = [statistics.fmean(part) if part else None for part in parts]
    known = [mean for mean in means if mean is not None]
    if not known:
        return "·" * len(means)
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join("·" if m is None else _BARS[min(7, int(8 * (m - low) / span))] for m in means)


def _of_run(run: RunProgress) -> Watched:
    tables = [table for table in (_losses(run.stage), _measures(run), _stages(run)) if table[1]]
    state = _SHOWN.get(run.state, run.state)
    said = state if run.doing in (state, "") else run.doing if run.doing.startswith(state) else f"{state}; {run.doing}"
    if run.state == "running":
        said += f"; {_left(run)}"
    if run.state == "stopped":
        said += "; no process runs it: start it again to resume it"
    return Watched(f"{run.name}: {said}", tuple(tables), _run_values(run), run.state == "running")


def _left(run: RunProgress) -> str:
    stage = run.stage
    if stage is None or stage.seconds_left is None:
        return "time left unknown"
    without = "" if stage.counts_evaluations else ", evaluations not counted"
    about = f"about {wording.seconds(stage.seconds_left)}"
    if run.seconds_left is not None:
        return f"{about} of training left{without}"
    return f"{about} left in this stage{without}, of later ones unknown"


def _losses(stage: StageProgress | None) -> Table:
    """The terms of the stage's last step, and how each went."""
    steps = () if stage is None else stage.recent
    if stage is None or not steps:
        return [], []
    last = steps[-1]
    rows = [["sum", wording.number(last.loss), "", sparkline([step.loss for step in steps])]]
    rows += [
        [label, wording.number(value), wording.number(last.weights.get(label)), sparkline(_values(steps, label))]
        for label, value in last.terms.items()
    ]
    return [f"loss of {stage.name} at step {last.step}", "value", "weight", f"last {len(steps)} steps"], rows


def _values(steps: Sequence[Step], label: str) -> list[float | None]:
    return [step.terms.get(label) for step in steps]


def _measures(run: RunProgress) -> Table:
    """What is left of what is to be forgotten and of what is to stay: before, in the oracle, and last."""
    if run.results is None:
        return [], []
    points = _points(run.results, run.latest)
    if not points:
        return [], []
    rows = []
    for key in _keys(run.results):
        sample = headline_measures.sample([run.results], key)
        found = [evaluation.measure(key) for evaluation in points.values()]
        said = [wording.ABSENT if m is None or m.value is None else wording.with_interval(m) for m in found]
        rows.append([wording.plain(key) if sample is None else wording.heading(sample), *said])
    return ["measure", *points], rows


def _points(results: Results, latest: Evaluation | None) -> dict[str, Evaluation]:
    found = {"before": results.before, "oracle": results.oracle_evaluation}
    if latest is not None:
        at = f"step {latest.step}" if latest.point == "epoch" else "after"
        found[f"{at} of {latest.stage}"] = latest
    return {name: evaluation for name, evaluation in found.items() if evaluation is not None}


def _keys(results: Results) -> list[str]:
    asked = (headline_measures.forgetting_key, headline_measures.retention_key, headline_measures.utility_key)
    return list(dict.fromkeys(key for of in asked if (key := of([results])) is not None))


def _stages(run: RunProgress) -> Table:
    """Where there are several."""
    if len(run.stages) < 2:
        return [], []
    return ["stage", "method", "state", "steps"], [[s.name, s.method, s.state, _steps(s)] for s in run.stages]


def _steps(stage: StageProgress) -> str:
    return f"{stage.step} of {stage.total}" if stage.total else wording.ABSENT


def _of_sweep(sweep: SweepProgress) -> Watched:
    counts = [f"{n} {_SHOWN.get(state, state)}" for state in _ORDER if (n := sweep.count(state))]
    of = f"{len(sweep.points)} run{'' if len(sweep.points) == 1 else 's'}"
    said = f"{sweep.folder.resolve().name}: {of}: {', '.join(counts)}"
    if sweep.goes_on:
        left = sweep.seconds_left
        said += "; time left unknown" if left is None else f"; about {wording.seconds(left)} left"
    points = sorted(sweep.points, key=lambda point: _ORDER.index(point.state))
    shown = [key for point in points if point.run and point.run.results for key in _keys(point.run.results)[:2]]
    keys = list(dict.fromkeys(shown))
    heads = ["run", "state", "steps", *(_title(points, key) for key in keys), "time left", "note"]
    rows = [_row(point, keys) for point in points]
    return Watched(said, ((heads, rows),), _sweep_values(sweep, keys), sweep.goes_on)


def _title(points: Sequence[PointProgress], key: str) -> str:
    runs = [point.run.results for point in points if point.run and point.run.results]
    sample = headline_measures.sample(runs, key)
    return wording.plain(key) if sample is None else wording.heading(sample)


def _row(point: PointProgress, keys: Sequence[str]) -> list[str]:
    run = point.run
    stage = None if run is None else run.stage
    latest = None if run is None else run.latest
    found = [None if latest is None else latest.measure(key) for key in keys]
    left = wording.ABSENT
    if run is not None and point.state == "running":
        left = "unknown" if run.seconds_left is None else wording.seconds(run.seconds_left)
    note = point.error or ("" if run is None or point.state == "complete" else run.doing)
    steps = wording.ABSENT if stage is None else _steps(stage)
    return [point.name, _SHOWN.get(point.state, point.state), steps, *map(wording.value_text, found), left, note]


def _run_values(run: RunProgress) -> dict[str, Any]:
    points = {} if run.results is None else _points(run.results, run.latest)
    return {
        "run": run.name,
        "folder": str(run.folder),
        "state": run.state,
        "doing": run.doing,
        "seconds_left": run.seconds_left,
        "stages": [_stage_values(stage) for stage in run.stages],
        "measures": {name: _measured(run.results, evaluation) for name, evaluation in points.items()},
    }


def _stage_values(stage: StageProgress) -> dict[str, Any]:
    last = stage.recent[-1] if stage.recent else None
    return {
        "name": stage.name,
        "method": stage.method,
        "state": stage.state,
        "step": stage.step,
        "total": stage.total,
        "seconds_left": stage.seconds_left,
        "counts_evaluations": stage.counts_evaluations,
        "loss": None if last is None else _finite(last.loss),
        "terms": {} if last is None else {label: _finite(value) for label, value in last.terms.items()},
        "weights": {} if last is None else {label: _finite(value) for label, value in last.weights.items()},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _measured(results: Results | None, evaluation: Evaluation) -> dict[str, Any]:
    keys = [] if results is None else _keys(results)
    found = {key: evaluation.measure(key) for key in keys}
    return {
        key: {"value": m.value, "low": m.low, "high": m.high, "count": m.count, "reason": m.reason}
        for key, m in found.items()
        if m is not None
    }


def _sweep_values(sweep: SweepProgress, keys: Sequence[str]) -> dict[str, Any]:
    runs = [
        {"name": p.name, "state": p.state, "error": p.error, **({} if p.run is None else {"run": _run_values(p.run)})}
        for p in sweep.points
    ]
    return {"folder": str(sweep.folder), "goes_on": sweep.goes_on, "seconds_left": sweep.seconds_left, "runs": runs}
