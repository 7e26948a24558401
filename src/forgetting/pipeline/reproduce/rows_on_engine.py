"""Runs of a published table carried out by an engine, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from forgetting.benchmarks.published import Row
from forgetting.core.progress import Voice
from forgetting.pipeline.reproduce.row import run_row
from forgetting.pipeline.sweep.engines.engine import Engine
from forgetting.pipeline.sweep.run import Task, at_work
from forgetting.recipe import Recipe
from forgetting.runs.folder import RunFolder
from forgetting.runs.sweep import SweepFolder


@dataclass(frozen=True)
class PlannedRow:
    """One run of a row."""

    row: Row
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class RowTask(Task):
    """The description of one run of a row for a worker process."""

    row: Row


def run_rows(folder: Path, planned: Sequence[PlannedRow], engine: Engine, voice: Voice) -> dict[str, str]:
    """Runs those that are not finished, and returns the errors of those that failed, by name.

    Raises:
        RunError: the engine cannot run them.
    """
    left = [one for one in planned if not _is_finished(one)]
    if not left:
        return {}
    threads = engine.capacity().threads
    logs = SweepFolder(folder)
    tasks = [
        RowTask(
            recipe=one.recipe,
            threads=one.recipe.threads or threads,
            log=str(logs.log(one.recipe.name)),
            row=one.row,
        )
        for one in left
    ]
    failures: dict[str, str] = {}
    voice.progress(0, len(tasks), "")
    with closing(engine.map(carry_out_row, tasks)) as outcomes:
        for done, outcome in enumerate(outcomes, 1):
            name = left[outcome.task].recipe.name
            if outcome.error is not None:
                failures[name] = outcome.error
            ended = "done" if outcome.error is None else f"failed: {outcome.error}"
            voice.progress(done, len(tasks), f"{len(failures)} failed")
            voice.say(f"{done}/{len(tasks)}, {len(failures)} failed: {name} {ended}")
    return failures


def carry_out_row(task: RowTask) -> None:
    """Executes one run in this process."""
    with at_work(task) as voice:
        run_row(task.recipe, task.row, voice=voice)


def _is_finished(planned: PlannedRow) -> bool:
    folder = RunFolder(planned.recipe.folder)
    return folder.is_finished if planned.row.trained else folder.measures_file.is_file()
