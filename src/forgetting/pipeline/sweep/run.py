"""A sweep carried out: every point of its grid is a run of its own, and all that is known of them is one table."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import torch

from forgetting.core.declaration import Declaration
from forgetting.core.folder import write_text
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.run.environment import check_trackers
from forgetting.pipeline.run.ownership import check_output, locked
from forgetting.pipeline.run.run import run
from forgetting.pipeline.sweep.engines.local import Engine, Processes
from forgetting.recipe import Recipe
from forgetting.recipe.sweep import PlannedRun, Sweep
from forgetting.report.headline_measures import headline_keys
from forgetting.report.sweep.page import build_sweep_report
from forgetting.runs.results import FORMAT, Evaluation, Results

STREAMS = (1, 2)
"""Standard output and error."""


def run_sweep(
    sweep: Sweep, *, processes: int = 1, engine: Engine | None = None, retry: bool = False, voice: Voice = SILENT
) -> Path:
    """Carries out every run that is neither finished nor failed, and returns the folder with table and report.

    Killed anywhere and started again, it goes on: finished runs are kept, those that were under way go on from their
    checkpoints. A run that fails is written into `failures.json` and not tried again, unless `retry`.

    Args:
        sweep: what to run.
        processes: how many runs at once on this machine; each has the recipe's threads, or its share of the cores.
        engine: does the runs, instead of local processes.
        retry: try failed runs again.
        voice: where progress goes.

    Raises:
        RunError: the folder cannot be written, another process is at work in it, or it holds runs of other recipes.
    """
    for planned in sweep.runs:
        check_output(planned.recipe)
        check_trackers(planned.recipe)
    with locked(sweep.folder):
        failures = {} if retry else failures_of(sweep)
        status = {planned.name: status_of(planned, failures) for planned in sweep.runs}
        left = [planned for planned in sweep.runs if status[planned.name] == "not run"]
        if len(left) < len(sweep.runs):
            found = list(status.values())
            voice.say(
                f"{sweep.folder}: {found.count('finished')} runs finished already, {found.count('failed')} failed"
            )
        _write_failures(sweep.folder, failures)
        _carry_out(sweep, left, engine or Processes(processes), processes, failures, voice)
        _write_results(sweep, failures)
        build_sweep_report(sweep.folder)
    return sweep.folder


def status_of(planned: PlannedRun, failures: Mapping[str, str]) -> str:
    """`finished`, `failed` or `not run` (which may be half-done)."""
    if (planned.recipe.folder / "results.json").is_file():
        return "finished"
    return "failed" if planned.name in failures else "not run"


def failures_of(sweep: Sweep) -> dict[str, str]:
    """The error of every run that failed, by its name."""
    file = sweep.folder / "failures.json"
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {run.name: found[run.name] for run in sweep.runs if run.name in found}


def _write_failures(folder: Path, failures: Mapping[str, str]) -> None:
    if failures or (folder / "failures.json").is_file():
        write_text(folder / "failures.json", json.dumps(failures, indent=1))


def _carry_out(
    sweep: Sweep, left: list[PlannedRun], engine: Engine, processes: int, failures: dict[str, str], voice: Voice
) -> None:
    share = max(1, _cores() // processes)
    logs = sweep.folder / "logs"
    tasks = [Task(run.recipe, run.recipe.threads or share, str(logs / f"{run.name}.log")) for run in left]
    failed = 0
    voice.progress(0, len(tasks), "")
    with closing(engine.map(carry_out, tasks)) as outcomes:
        for done, outcome in enumerate(outcomes, 1):
            name = left[outcome.task].name
            if outcome.error is not None:
                failed += 1
                failures[name] = outcome.error
                _write_failures(sweep.folder, failures)
            running = min(processes, len(tasks) - done)
            ended = "done" if outcome.error is None else f"failed: {outcome.error}"
            voice.progress(done, len(tasks), f"{failed} failed, {running} running")
            voice.say(f"{done}/{len(tasks)}, {failed} failed, {running} running: {name} {ended}")


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Task:
    """One run, for a process that knows nothing else."""

    recipe: Recipe
    threads: int
    log: str
    """A file for what the run says; a traceback too, if it ends with one."""


def carry_out(task: Task) -> None:
    """Carries one run out in this process."""
    torch.set_num_threads(task.threads)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # What the process's last run left.
    with _printed_to(Path(task.log)) as log, _beginning(task.recipe, log) as voice:
        try:
            run(task.recipe, voice=voice)
        except Exception:
            traceback.print_exc(file=log)
            raise


@contextmanager
def _printed_to(path: Path) -> Iterator[TextIO]:
    """A file at whose end goes what is printed in the meantime, by libraries too."""
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


@contextmanager
def _beginning(recipe: Recipe, log: TextIO) -> Iterator[Voice]:
    """A voice for a run that has the sweep's cache to itself until its first stage is prepared.

    So the model before, the oracle and references are computed by one process and found by the others, and no two
    write one file of the cache.
    """
    cache = Path(recipe.output) / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    prepared = recipe.folder / "stages" / recipe.stages[0].name / "prepared.json"
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def release_when_prepared() -> None:
            if prepared.is_file():
                fcntl.flock(lock, fcntl.LOCK_UN)

        def say(line: str) -> None:
            print(line, file=log, flush=True)
            release_when_prepared()

        yield Voice(say=say, progress=lambda done, total, note: release_when_prepared())


def _write_results(sweep: Sweep, failures: Mapping[str, str]) -> None:
    """sweep.json: every run of the grid, whatever became of it."""
    found = {p.name: Results.load(p.recipe.folder) for p in sweep.runs if status_of(p, failures) == "finished"}
    results = {
        "format": FORMAT,
        "name": sweep.file.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "file": sweep.file.model_dump(mode="json"),
        "axes": {axis: list(points) for axis, points in sweep.file.grid.items()},
        "replicates": sweep.file.averaged,
        "columns": sweep.file.columns or headline_keys(list(found.values())),
        "splits": _splits([results.declared for results in found.values()]),
        "before": _shared([r.before for r in found.values()]),
        "oracle": _shared([r.oracle_evaluation for r in found.values()]),
        "runs": [_entry(planned, found.get(planned.name), failures) for planned in sweep.runs],
    }
    write_text(sweep.folder / "sweep.json", json.dumps(results, indent=1))


def _splits(declared: list[Declaration]) -> list[list[str]]:
    """Those of what the runs forget, and of what they keep."""
    forget = dict.fromkeys(split for one in declared for split in one.forget_splits)
    return [list(forget), list(dict.fromkeys(split for one in declared for split in one.retain_splits))]


def _entry(planned: PlannedRun, results: Results | None, failures: Mapping[str, str]) -> dict[str, Any]:
    entry = {"name": planned.name, "point": dict(planned.point), "overrides": list(planned.overrides)}
    if results is None:
        return {**entry, "status": status_of(planned, failures), "error": failures.get(planned.name, "")}
    last = results.stages[-1]
    return {
        **entry,
        "status": results.status,
        "measures": [asdict(m) for m in results.after.measures] if results.after else [],
        "cost": asdict(results.cost),
        **{key: getattr(last, key) for key in ("success", "epochs", "stopped", "message")},
        "environment": dict(results.environment),
        "data": dict(results.data),
    }


def _shared(evaluations: list[Evaluation | None]) -> list[dict[str, Any]] | None:
    """The measures of a model that all runs have in common; None where they do not."""
    first = evaluations[0] if evaluations else None
    if first is None or any(e is None or e.measures != first.measures for e in evaluations):
        return None
    return [asdict(m) for m in first.measures]
