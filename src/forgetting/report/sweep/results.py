"""A sweep's folder as typed values: what sweep.json says, and what a reader must know before trusting it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from forgetting.core.errors import RunError, nearest
from forgetting.core.measure import Measure
from forgetting.report import wording
from forgetting.runs.results import Cost, read_results

Status = Literal["complete", "collapsed", "stopped", "failed", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun:
    """One point of the grid and what became of it."""

    name: str
    point: Mapping[str, str]
    """Label by axis."""
    status: Status
    error: str = ""
    overrides: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    """After the last stage; empty where the run did not get there."""
    cost: Cost = field(default_factory=Cost)
    success: bool | None = None
    """Whether the last stage's stop rule was satisfied; None where there was no rule."""
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
    """What sweep.json says."""

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
    """Of what is to be forgotten, and of what is to be kept; None in files older than declarations."""
    file: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[Measure, ...] | None = None
    oracle: tuple[Measure, ...] | None = None
    """Of models that all runs have in common."""

    @classmethod
    def load(cls, folder: Path) -> SweepResults:
        """The results of a sweep's folder.

        Raises:
            RunError: no sweep.json there, or one that does not hold what a sweep writes.
        """
        file = folder / "sweep.json"
        if not file.is_file():
            raise RunError(f"{folder}: no sweep.json in it; start the sweep again to go on")
        return read_results(TypeAdapter(cls), file)

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
        """By name (before, oracle) the columns' measures of the models that all runs have in common."""
        found = {"before": self.before, "oracle": self.oracle}
        return {
            name: tuple(next((m for m in measures if m.key == key), None) for key in self.columns)
            for name, measures in found.items()
            if measures is not None
        }

    def sample(self, key: str) -> Measure | None:
        """Any measure of this key, for its words."""
        found = [m for run in self.runs if (m := run.measure(key))]
        return next((m for m in found if m.value is not None), found[0] if found else None)


def cautions(results: SweepResults) -> list[str]:
    """What a reader must know before trusting the table: missing runs, and runs that differ in more than the grid."""
    said = [f"{run.name} failed: {run.error}" for run in results.runs if run.status == "failed"]
    said += [f"{run.name} collapsed: {run.message}" for run in results.runs if run.status == "collapsed"]
    missing = [run.name for run in results.runs if run.status == "not run"]
    if missing:
        said.append(f"{len(missing)} not run: {wording.join(missing)}")
    known = {m.key for run in results.runs for m in run.measures}
    for key in results.columns:
        if known and key not in known:
            said.append(f"column '{key}' is measured by no run; {nearest(key, known)}")
    environments = [run.environment for run in results.runs if run.environment]
    for name in dict.fromkeys(name for environment in environments for name in environment):
        values = list(dict.fromkeys(str(environment.get(name)) for environment in environments))
        if len(values) > 1:
            said.append(f"runs differ in their {name}: {wording.join(values)}")
    digests: dict[str, set[str]] = {}
    for run in results.runs:
        for role, facts in run.data.items():
            digests.setdefault(f"{role} data ({facts.get('source')})", set()).add(str(facts.get("sha256")))
    said += [f"the {what} changed between runs" for what, found in digests.items() if len(found) > 1]
    return said
