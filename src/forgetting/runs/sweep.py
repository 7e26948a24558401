"""A sweep's folder: shared files, and the results of its runs as typed values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from forgetting.core.errors import RunError
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.runs.evaluation import Point
from forgetting.runs.paths import SweepPaths
from forgetting.runs.reading import as_typed, read_object, write_object
from forgetting.runs.results import FORMAT, Cost, read_formatted
from forgetting.runs.results import Status as Ended
from forgetting.runs.tuning import Tuning

Status = Ended | Literal["failed", "not run"]
_NAMES = TypeAdapter(dict[str, list[str]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One evaluation of a run, as far as the sweep's figures show it."""

    point: Point
    stage: int
    """How many stages were over."""
    epoch: float
    """Of the stage."""
    measures: tuple[Measure, ...]

    def value(self, key: str) -> float | None:
        """The value of the measure `split/name`, or of `epoch` or `stage`; None if there is none."""
        if key in ("epoch", "stage"):
            return float(self.epoch if key == "epoch" else self.stage)
        return next((m.value for m in self.measures if m.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun:
    """One point of the grid and its outcome."""

    name: str
    point: Mapping[str, str]
    """Label by axis."""
    status: Status
    error: str = ""
    overrides: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    """Measures after the last stage, and what the run took (`runs.cost`); empty if it did not reach its end."""
    way: tuple[Stop, ...] = ()
    """Its evaluations in order, if the sweep has figures."""
    cost: Cost = field(default_factory=Cost)
    success: bool | None = None
    """Whether the goals of its stages were reached, and none was undone; None if there was none that shows either."""
    epochs: float | None = None
    stopped: str = ""
    message: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def measure(self, key: str) -> Measure | None:
        """The measure `split/name`, or None if the run does not have it."""
        return next((m for m in self.measures if m.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResults:
    """All runs of a sweep's grid."""

    folder: Path
    name: str
    created: str
    axes: Mapping[str, tuple[str, ...]]
    """Labels by axis."""
    replicates: tuple[str, ...]
    """The axes that are averaged over."""
    columns: tuple[str, ...]
    """Keys of the measures to show."""
    runs: tuple[SweepRun, ...]
    splits: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """The splits to forget, and the splits to keep; None in files older than declarations."""
    file: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Measure, ...] | None = None
    oracle: tuple[Measure, ...] | None = None
    """Measures of models that all runs have in common."""
    tuning: Tuning | None = None
    """How the settings of the runs were found; None: a grid gave them."""

    @classmethod
    def load(cls, folder: Path) -> SweepResults:
        """The results of a sweep's folder.

        Raises:
            RunError: there is no sweep.json, or it does not hold what a sweep writes.
        """
        file = SweepPaths(folder).results_file
        if not file.is_file():
            raise RunError(f"{folder}: has no {file.name}; start the sweep again to resume it")
        return read_formatted(TypeAdapter(cls), file)

    @property
    def shown_axes(self) -> tuple[str, ...]:
        """The axes that are not averaged over."""
        return tuple(axis for axis in self.axes if axis not in self.replicates)

    @property
    def has_success(self) -> bool:
        """Whether any run has a stop rule that it could satisfy."""
        return any(run.success is not None for run in self.runs)

    @property
    def anchors(self) -> dict[str, tuple[Measure | None, ...]]:
        """The columns' measures of the models that all runs have in common, by name (before, oracle)."""
        found = {"before": self.before, "oracle": self.oracle}
        return {
            name: tuple(next((m for m in measures if m.key == key), None) for key in self.columns)
            for name, measures in found.items()
            if measures is not None
        }

    def sample(self, key: str) -> Measure | None:
        """Any measure with this key, for its description."""
        found = [m for run in self.runs if (m := run.measure(key))]
        return next((m for m in found if m.value is not None), found[0] if found else None)


@dataclass(frozen=True)
class SweepFolder(SweepPaths):
    """Writes and reads the files of a sweep."""

    def write_results(self, results: SweepResults) -> None:
        """Writes all runs of the grid, which are planned no longer."""
        values = {"format": FORMAT, **asdict(results)}
        del values["folder"]
        self.planned_file.unlink(missing_ok=True)
        write_object(self.results_file, values, indent=1)

    def write_failures(self, failures: Mapping[str, str]) -> None:
        """Writes the error of every run that failed, by name; no file if none ever failed."""
        if failures or self.failures_file.is_file():
            write_object(self.failures_file, failures, indent=1)

    def failures(self) -> dict[str, str]:
        """The error of every run that failed, by name.

        Raises:
            RunError: the file is damaged.
        """
        if not self.failures_file.is_file():
            return {}
        return read_object(self.failures_file, what="the errors of runs", mend="remove it to try failed runs again")

    def write_planned(self, names: Sequence[str]) -> None:
        """Writes the names of the runs that are about to be run, and of those beside them that have ended."""
        write_object(self.planned_file, {"runs": list(names)}, indent=1)

    def planned(self) -> list[str]:
        """Those names; empty where none are being run, or an earlier version runs them.

        Raises:
            RunError: the file is damaged.
        """
        if not self.planned_file.is_file():
            return []
        mend = "start the sweep again"
        raw = read_object(self.planned_file, what="the names of runs", mend=mend)
        return as_typed(_NAMES, raw, self.planned_file, mend)["runs"]

    def write_chosen(self, names: list[str]) -> None:
        """Writes which runs of a demo were chosen."""
        write_text(self.chosen_file, json.dumps(names))
