"""Runs a sweep: every point of its grid is a run, and one table shows them all."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

import torch

from forgetting.core.declaration import Declaration
from forgetting.core.errors import ForgettingError, RunError
from forgetting.core.folder import remove_partial
from forgetting.core.locks import LOCK, locked, wait_until_free
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.text import plain
from forgetting.pipeline.audit.whole import run
from forgetting.pipeline.run.judge import Judge
from forgetting.pipeline.run.tracking import check_trackers
from forgetting.pipeline.sweep.engines.engine import Engine
from forgetting.pipeline.sweep.engines.local import Processes
from forgetting.recipe import Recipe
from forgetting.recipe.sweep import PlannedRun, Sweep
from forgetting.report.headline_measures import headline_keys
from forgetting.report.sweep.page import build_sweep_report
from forgetting.report.verdict.stop_rule import goals_met
from forgetting.runs.cost import own_measures
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results
from forgetting.runs.same_run import check_takes, holds
from forgetting.runs.sweep import Stop, SweepFolder, SweepResults, SweepRun

STREAMS = (1, 2)
"""Standard output and error."""
HELD_FOR = 120.0
"""Seconds that a run waits for the lock of a worker that is ending or whose host died (NFS 4 frees it after 90)."""


def run_sweep(sweep: Sweep, *, engine: Engine | None = None, retry: bool = False, voice: Voice = SILENT) -> Path:
    """Runs every point that is neither finished nor failed, and returns the folder with table and report.

    Resumable: finished runs are kept, unfinished ones resume from their checkpoints. A run that fails is written into
    `failures.json` and not tried again, unless `retry`. Shared results are computed by one run while the others wait.

    Args:
        sweep: what to run.
        engine: executes the runs, instead of one local process; each has the recipe's threads, or the engine's.
        retry: try failed runs again.
        voice: receives progress.

    Raises:
        RunError: the folder cannot be written, another process is using it, it holds runs of other recipes, or the
            engine cannot run them.
    """
    for planned in sweep.runs:
        check_takes(RunFolder(planned.recipe.folder), planned.recipe.to_yaml(), Recipe.rewritten)
        check_trackers(planned.recipe)
    with locked(sweep.folder):
        clear(sweep.folder)
        failures = {} if retry else failures_of(sweep)
        status = {planned.name: status_of(planned, failures) for planned in sweep.runs}
        left = [planned for planned in sweep.runs if status[planned.name] == "not run"]
        if len(left) < len(sweep.runs):
            found = list(status.values())
            voice.say(
                f"{sweep.folder}: {found.count('finished')} runs already finished, {found.count('failed')} failed"
            )
        SweepFolder(sweep.folder).write_failures(failures)
        if left:
            run_all(sweep, left, engine or Processes(1), failures, voice)
        SweepFolder(sweep.folder).write_results(results_of(sweep, failures))
        build_sweep_report(sweep.folder)
    return sweep.folder


def clear(folder: Path) -> None:
    """Removes what killed processes left half-written in a sweep's folder, and their locks in the folders of runs.

    A run that is still going on, whose process outlived the sweep's, is left alone.
    """
    remove_partial(folder, deep=False)
    for lock in sorted(folder.glob(f"*/{LOCK}")):
        with suppress(RunError), RunFolder(lock.parent).held():
            pass


OTHER = "holds another run"


def status_of(
    planned: PlannedRun, failures: Mapping[str, str]
) -> Literal["finished", "failed", "not run", "holds another run"]:
    """The status of a run; `not run` includes interrupted ones. Another recipe's run in its folder is not its own.

    A run that was killed before its report was written is interrupted, though its results are there.
    """
    folder = RunFolder(planned.recipe.folder)
    if folder.is_finished and not holds(folder, planned.recipe.to_yaml(), Recipe.rewritten):
        return "holds another run"
    if folder.is_finished and (folder.report_file.is_file() or planned.name in failures):
        return "finished"
    return "failed" if planned.name in failures else "not run"


def failures_of(sweep: Sweep) -> dict[str, str]:
    """The error of every run that failed, by its name."""
    found = SweepFolder(sweep.folder).failures()
    return {run.name: found[run.name] for run in sweep.runs if run.name in found}


def run_all(
    sweep: Sweep,
    left: Sequence[PlannedRun],
    engine: Engine,
    failures: dict[str, str],
    voice: Voice,
    judges: Mapping[str, Judge] | None = None,
) -> None:
    """Runs some of a sweep's runs and adds the errors of those that fail to `failures`, by name, here and on disk.

    Args:
        sweep: whose folder they are in.
        left: the runs.
        engine: executes them.
        failures: of earlier runs.
        voice: receives progress.
        judges: by name, what may end a run early.
    """
    capacity = engine.capacity()
    folder = SweepFolder(sweep.folder)
    tasks = [
        Task(
            run.recipe, run.recipe.threads or capacity.threads, str(folder.log(run.name)), (judges or {}).get(run.name)
        )
        for run in left
    ]
    failed = 0
    folder.write_planned([run.name for run in sweep.runs])
    voice.progress(0, len(tasks), "")
    with closing(engine.map(carry_out, tasks)) as outcomes:
        for done, outcome in enumerate(outcomes, 1):
            name = left[outcome.task].name
            if outcome.error is not None:
                failed += 1
                failures[name] = outcome.error
                folder.write_failures(failures)
            running = min(capacity.at_once, len(tasks) - done)
            ended = "done" if outcome.error is None else f"failed: {outcome.error}"
            voice.progress(done, len(tasks), f"{failed} failed, {running} running")
            voice.say(f"{done}/{len(tasks)}, {failed} failed, {running} running: {name} {ended}")


@dataclass(frozen=True)
class Task:
    """The description of one run for a worker process."""

    recipe: Recipe
    threads: int
    log: str
    """A file for the run's output, including the traceback of an error."""
    judge: Judge | None = None
    """May end the run early; None: nothing does."""


def carry_out(task: Task) -> None:
    """Executes one run in this process."""
    with at_work(task) as voice:
        run(task.recipe, voice=voice, judge=task.judge)


@contextmanager
def at_work(task: Task) -> Iterator[Voice]:
    """Prepares this process for a task; what is printed or raised inside goes to its log, as does the voice's."""
    torch.set_num_threads(task.threads)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # memory of the process's last run
    with _printed_to(Path(task.log)) as log:
        try:
            wait_until_free(task.recipe.folder, HELD_FOR)
            yield Voice(say=lambda line: print(line, file=log, flush=True))
        except ForgettingError as error:
            print(f"forget: {error}", file=log)
            raise
        except Exception:
            log.write(plain(traceback.format_exc()))
            raise


@contextmanager
def _printed_to(path: Path) -> Iterator[TextIO]:
    """Appends everything printed inside to a file, also by libraries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(stream) for stream in STREAMS]
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        try:
            for stream in STREAMS:
                os.dup2(file.fileno(), stream)
            yield file
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, old in zip(STREAMS, kept, strict=True):
                os.dup2(old, stream)
                os.close(old)


def results_of(sweep: Sweep, failures: Mapping[str, str]) -> SweepResults:
    """Every run of the grid with its outcome."""
    found = {p.name: Results.load(p.recipe.folder) for p in sweep.runs if status_of(p, failures) == "finished"}
    keys = {key for figure in sweep.file.figures for key in figure.keys}
    return SweepResults(
        folder=sweep.folder,
        name=sweep.file.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        file=sweep.file.model_dump(mode="json"),
        axes={axis: tuple(points) for axis, points in sweep.file.grid.items()},
        replicates=tuple(sweep.file.averaged),
        columns=tuple(sweep.file.columns or headline_keys(list(found.values()))),
        splits=_splits([results.declared for results in found.values()]),
        before=_shared([r.before for r in found.values()]),
        oracle=_shared([r.oracle_evaluation for r in found.values()]),
        runs=tuple(_entry(planned, found.get(planned.name), failures, keys) for planned in sweep.runs),
    )


def _splits(declared: Sequence[Declaration]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The splits that the runs forget, and those that they keep."""
    forget = dict.fromkeys(split for one in declared for split in one.forget_splits)
    return tuple(forget), tuple(dict.fromkeys(split for one in declared for split in one.retain_splits))


def _entry(
    planned: PlannedRun, results: Results | None, failures: Mapping[str, str], shown: Collection[str]
) -> SweepRun:
    """One run; of its evaluations on the way, only the measures that figures show."""
    begun = SweepRun(
        name=planned.name,
        point=dict(planned.point),
        overrides=tuple(planned.overrides),
        status="failed" if planned.name in failures else "not run",
    )
    if results is None:
        return replace(begun, error=failures.get(planned.name, ""))
    last = results.stages[-1]
    return replace(
        begun,
        status=results.status,
        measures=(*results.after.measures, *own_measures(results)) if results.after else (),
        way=_way(results, shown) if shown else (),
        cost=results.cost,
        success=goals_met(results),
        epochs=last.epochs,
        stopped=last.stopped,
        message=last.message,
        environment=dict(results.environment),
        data=dict(results.data),
    )


def _way(results: Results, shown: Collection[str]) -> tuple[Stop, ...]:
    names = [stage.name for stage in results.stages]
    stops = []
    for e in results.evaluations:
        over = names.index(e.stage) + (e.point == "after") if e.stage in names else 0
        measures = tuple(m for m in e.measures if m.key in shown)
        stops.append(Stop(point=e.point, stage=over, epoch=e.epoch, measures=measures))
    return tuple(stops)


def _shared(evaluations: list[Evaluation | None]) -> tuple[Measure, ...] | None:
    """The measures of a model that all runs have in common; None if they differ."""
    first = evaluations[0] if evaluations else None
    if first is None or any(e is None or e.measures != first.measures for e in evaluations):
        return None
    return first.measures
