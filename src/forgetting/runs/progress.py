"""How far a run is, from its folder alone: what it does, the last steps of its stages, and the time that is left."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

from forgetting.core.duration import Duration
from forgetting.core.errors import RecipeError
from forgetting.core.locks import is_held
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results
from forgetting.runs.same_run import is_left_over
from forgetting.runs.stage_folder import StageFolder
from forgetting.runs.stage_result import Step
from forgetting.runs.unfinished import method_of, results_so_far, stages_of

State = Literal["running", "stopped", "pruned", "complete", "collapsed"]
"""`stopped`: not at its end, and no process runs it; `pruned`: a tuning ended it early."""
_RECENT = 400
"""Steps of a stage that are looked at."""
_PACE = 20
"""The last steps whose median time is the pace of a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """How far one stage is."""

    name: str
    method: str
    state: Literal["waiting", "running", "done"]
    step: int = 0
    total: int | None = None
    """Steps of its whole duration; None: not known yet. A goal may end it earlier."""
    recent: tuple[Step, ...] = ()
    """Its last steps."""
    seconds_left: float | None = None
    """Of training and of the evaluations on its way, by the pace of the last steps; None: nothing says it."""
    counts_evaluations: bool = True
    """False: there are evaluations on its way, and none of them is measured yet, so only steps are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far one run is."""

    folder: Path
    name: str
    state: State
    doing: str
    """What it does, or how it ended, in words."""
    stages: tuple[StageProgress, ...] = ()
    results: Results | None = None
    """What is known by now; None where not even the recipe is written."""

    @property
    def stage(self) -> StageProgress | None:
        """The stage that it is at, or the last that it has begun; None before the first."""
        begun = [stage for stage in self.stages if stage.state != "waiting"]
        return begun[-1] if begun else None

    @property
    def seconds_left(self) -> float | None:
        """Of a run in its last stage; None where nothing says it, as while it measures, or before a later stage."""
        last = self.stages[-1] if self.stages else None
        return None if self.state != "running" or last is None or last.state != "running" else last.seconds_left

    @property
    def latest(self) -> Evaluation | None:
        """The last evaluation of a stage, on its way or after it."""
        found = () if self.results is None else self.results.evaluations
        return next((e for e in reversed(found) if e.point in ("epoch", "after")), None)


def progress_of(folder: Path) -> RunProgress:
    """How far the run in a folder is.

    Raises:
        RunError: the folder is no run's, or a file of it is damaged.
    """
    run = RunFolder(folder)
    works = works_in(folder)
    if works and not run.is_run and all(is_left_over(path) for path in folder.iterdir()):
        return RunProgress(folder=folder, name=folder.name, state="running", doing="beginning")
    results = results_so_far(folder)
    recipes = stages_of(results.recipe) or [{"name": s.name, "method": s.method} for s in results.stages]
    stages = _stages(run, recipes, results, works=works)
    if results.status != "unfinished":
        doing = "a process is still at work here, on its report, an audit or an analysis" if works else _ended(results)
        state: State = "collapsed" if results.status == "collapsed" else "complete"
    elif pruned := run.pruned():
        state, doing = "pruned", f"ended early by a tuning: {pruned}"
    else:
        state = "running" if works else "stopped"
        doing = _doing(run, recipes, stages, results)
    return RunProgress(folder=folder, name=results.name, state=state, doing=doing, stages=stages, results=results)


def works_in(folder: Path) -> bool:
    """Whether a process holds the folder; where that cannot be asked, as in a folder of another user, it is no."""
    try:
        return is_held(folder)
    except OSError:
        return False


def _ended(results: Results) -> str:
    last = results.stages[-1] if results.stages else None
    if results.status == "collapsed" and last is not None:
        return f"collapsed in stage {last.name} after {last.steps} steps: {last.message}"
    return "finished"


def _stages(
    run: RunFolder, recipes: Sequence[Mapping[str, Any]], results: Results, *, works: bool
) -> tuple[StageProgress, ...]:
    ended = {stage.name: stage for stage in results.stages}
    found = []
    for recipe in recipes:
        name = str(recipe["name"])
        folder, result = run.stage(name), ended.get(name)
        recent = tuple(folder.recent(_RECENT))
        is_over = folder.result_file.is_file() or results.status != "unfinished"
        step = result.steps if is_over and result is not None else recent[-1].step if recent else 0
        planned = result.total or result.steps if is_over and result is not None else folder.planned_steps()
        total = planned or _total(recipe, recent)
        done = results.status != "unfinished" or _is_done(folder, name, results)
        left, counted = _left(recipe, recent, total, results, name) if works and not is_over else (None, True)
        found.append(
            StageProgress(
                name=name,
                method=method_of(recipe),
                state="done" if done else "running" if folder.path.is_dir() else "waiting",
                step=step,
                total=total,
                recent=recent,
                seconds_left=left,
                counts_evaluations=counted,
            )
        )
    return tuple(found)


def _is_done(folder: StageFolder, name: str, results: Results) -> bool:
    """Whether it was handed over, or trained and measured."""
    return folder.handed_over_file.is_file() or any(e.stage == name and e.point == "after" for e in results.evaluations)


def _doing(
    run: RunFolder, recipes: Sequence[Mapping[str, Any]], stages: Sequence[StageProgress], results: Results
) -> str:
    if results.before is None:
        return "measuring the model before"
    at = next((place for place, stage in enumerate(stages) if stage.state != "done"), None)
    if at is None:
        return "saving the model and writing the results"
    stage, folder = stages[at], run.stage(stages[at].name)
    where = f"stage {stage.name}" + (f" ({at + 1} of {len(stages)})" if len(stages) > 1 else "")
    if folder.result_file.is_file():
        return f"{where}, measuring after its last step"
    if not stage.step:
        return f"{where}, {'first step' if folder.prepared_file.is_file() else 'preparing'}"
    every = _every(recipes[at], stage.recent, stage.total)
    due = every is not None and (stage.step % every == 0 or stage.step == stage.total)
    measured = any(e.stage == stage.name and e.step == stage.step for e in results.evaluations)
    of = f" of {stage.total}" if stage.total else ""
    return f"{where}, step {stage.step}{of}{', measuring' if due and not measured else ''}"


def _left(
    recipe: Mapping[str, Any], recent: Sequence[Step], total: int | None, results: Results, name: str
) -> tuple[float | None, bool]:
    """Seconds: steps to come by the median of the last ones, and evaluations to come by the mean of those that were.

    The second says whether evaluations are counted: they are not before the first of the stage was measured.
    """
    times = [step.seconds for step in recent[-_PACE:] if step.seconds]
    if not times or total is None:
        return None, True
    seconds = statistics.median(times) * (total - recent[-1].step)
    every = _every(recipe, recent, total)
    if every is None:
        return seconds, recipe.get("evaluate_every") is None
    took = [e.seconds for e in results.evaluations if e.stage == name and e.point == "epoch"]
    known = [one for one in took if one]
    to_come = max(0, ceil(total / every) - len(took))
    return seconds + (to_come * statistics.fmean(known) if known else 0.0), bool(known) or not to_come


def _total(recipe: Mapping[str, Any], recent: Sequence[Step]) -> int | None:
    return None if recipe.get("transform") else _steps(recipe.get("duration"), recent)


def _every(recipe: Mapping[str, Any], recent: Sequence[Step], total: int | None) -> int | None:
    """Steps between evaluations on the way; None where there are none, or nothing says it yet."""
    asked = recipe.get("evaluate_every")
    return None if asked is None or total is None else _steps(asked, recent)


def _steps(asked: object, recent: Sequence[Step]) -> int | None:
    """A duration in steps; one in epochs by the epoch that a step says, one in tokens is not known."""
    try:
        duration = Duration.parse(str(asked))
    except RecipeError:
        return None
    if duration.unit == "tokens" or (duration.unit == "epochs" and not (recent and recent[-1].epoch)):
        return None
    per_epoch = round(recent[-1].step / recent[-1].epoch) if recent and recent[-1].epoch else 1
    return duration.steps(steps_per_epoch=max(1, per_epoch), tokens_per_epoch=1)
