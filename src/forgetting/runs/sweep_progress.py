"""How far the runs of a sweep are, or those of any folder of runs, from its files alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgetting.runs.paths import RunPaths
from forgetting.runs.progress import RunProgress, State, progress_of, works_in
from forgetting.runs.sweep import SweepFolder, SweepResults

PointState = State | Literal["failed", "waiting", "not run"]
"""`waiting`: the sweep goes on, and has not come to this run or will resume it; `not run`: the sweep does not go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointProgress:
    """One run of the folder."""

    name: str
    state: PointState
    run: RunProgress | None = None
    """None where it has no folder yet."""
    error: str = ""
    """Of a run that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepProgress:
    """How far the runs of a folder are."""

    folder: Path
    goes_on: bool
    """Whether a process runs the sweep, or one of its runs."""
    points: tuple[PointProgress, ...]
    planned: bool
    """Whether the names of all runs are known; else only those are counted that have begun."""

    def count(self, *states: PointState) -> int:
        """How many runs are in one of these states."""
        return sum(point.state in states for point in self.points)

    @property
    def seconds_left(self) -> float | None:
        """By the time that finished runs took, as many at once as run now; None where nothing says it."""
        took = [
            point.run.results.cost.seconds
            for point in self.points
            if point.state in ("complete", "collapsed") and point.run is not None and point.run.results is not None
        ]
        known = [seconds for seconds in took if seconds]
        typical = statistics.fmean(known) if known else None
        running = [p.run.seconds_left for p in self.points if p.state == "running" and p.run is not None]
        lefts = [typical if left is None else left for left in running] + [typical] * self.count("waiting")
        if not running or any(left is None for left in lefts):
            return None
        return sum(left for left in lefts if left is not None) / len(running)


def holds_runs(folder: Path) -> bool:
    """Whether it is a sweep that has begun, or a folder with a run in it."""
    sweep = SweepFolder(folder)
    return sweep.planned_file.is_file() or sweep.is_sweep or bool(_inside(folder))


def sweep_progress_of(folder: Path, ended: dict[Path, RunProgress] | None = None) -> SweepProgress:
    """How far the runs in a folder are.

    Args:
        folder: of a sweep, or of runs.
        ended: runs that an earlier look found at their end, which are not read again; new ones are added.

    Raises:
        RunError: a file is damaged.
    """
    sweep, ended = SweepFolder(folder), {} if ended is None else ended
    names = _names(sweep)
    failures, works = sweep.failures(), works_in(folder)
    every = list(dict.fromkeys([*names, *failures, *_inside(folder)]))
    points = tuple(_point(folder / name, failures.get(name, ""), ended, works=works) for name in every)
    goes_on = works or any(point.state == "running" for point in points)
    return SweepProgress(folder=folder, goes_on=goes_on, points=points, planned=bool(names))


def _names(sweep: SweepFolder) -> Sequence[str]:
    if names := sweep.planned():
        return names
    return [run.name for run in SweepResults.load(sweep.path).runs] if sweep.is_sweep else []


def _inside(folder: Path) -> list[str]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path.name for path in found if RunPaths(path).is_run or RunPaths(path).is_finished]


def _point(folder: Path, error: str, ended: dict[Path, RunProgress], *, works: bool) -> PointProgress:
    name = folder.name
    paths = RunPaths(folder)
    if not (paths.is_run or paths.is_finished):
        return PointProgress(name=name, state="failed" if error else "waiting" if works else "not run", error=error)
    run = ended.get(folder) or progress_of(folder)
    if run.state in ("complete", "collapsed") and not works_in(folder):
        ended[folder] = run
    if run.state == "stopped" and (error or works):
        return PointProgress(name=name, state="failed" if error else "waiting", run=run, error=error)
    return PointProgress(name=name, state=run.state, run=run)
