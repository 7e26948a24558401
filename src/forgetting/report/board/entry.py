"""The runs of a board: found below the folders that were named, and what keeps a run off it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.report.verdict.models import Models
from forgetting.runs.began import Digests
from forgetting.runs.folder import RunFolder
from forgetting.runs.not_a_run import no_run
from forgetting.runs.paths import RunPaths
from forgetting.runs.reading import leaves
from forgetting.runs.results import Results, distinct
from forgetting.runs.unfinished import results_so_far

_ELSEWHERE = (
    "name",
    "output",
    "question",
    "threads",
    "device",
    "report_to",
    "redact",
    "export",
    "analyse",
    "audit",
    "space",
    "model",
    "revision",
    "oracle",
    "data",
    "evaluate",
    "metrics",
)
"""Keys of a recipe that change no number, and those that say where something is read whose digest is compared."""
_BOOKS = "checkpoint_every"
"""Likewise a key of a stage."""
_SEED = "seed"


@dataclass(frozen=True)
class Entry:
    """One run on a board."""

    name: str
    run: Results
    digests: Digests = field(repr=False)
    """Of data and model; empty where none were written."""

    @cached_property
    def models(self) -> Models:
        """Its models, with their records, which are read once."""
        return Models.of(self.run)

    @property
    def method(self) -> str:
        """`graddiff`, with a gradient rule `graddiff · balanced`; of several stages `sft → npo`."""
        rules = {stage["name"]: _rule(stage) for stage in self.run.recipe.get("stages", []) if "name" in stage}
        named = (stage.method + rules.get(stage.name, "") for stage in self.run.stages if stage.method)
        return " → ".join(named) or self.name

    @property
    def seed(self) -> str:
        """As the recipe says it; empty where no recipe is known."""
        return str(self.run.recipe.get(_SEED, ""))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What may change its numbers, by dotted key without the seed; `stages.` and the name of an only stage go."""
        recipe = {key: value for key, value in self.run.recipe.items() if key not in (*_ELSEWHERE, _SEED)}
        stages = [stage.name for stage in self.run.stages]
        only = f"stages.{stages[0]}." if len(stages) == 1 else "stages."
        found = {key.removeprefix(only): value for key, value in leaves(recipe)}
        return {key: value for key, value in found.items() if not {"data", _BOOKS} & {*key.split(".")}}


def _rule(stage: Mapping[str, Any]) -> str:
    given = stage.get("gradients")
    name = given.get("name") if isinstance(given, Mapping) else given
    return f" · {name}" if name and name != "sum" else ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is not on the board."""

    name: str
    reason: str


def entries(folders: Sequence[Path]) -> tuple[list[Entry], list[LeftOut]]:
    """The finished runs in these folders, and those that are left out, each with its reason.

    Args:
        folders: of runs, of sweeps or of runs; each run counts once, however often it is named.

    Raises:
        RunError: a folder holds no run, or a file of one is damaged.
    """
    paths = list(dict.fromkeys(path for folder in folders for path in _runs_of(folder)))
    found = [results_so_far(path) for path in paths]
    names = distinct([(run.name, run.folder.name) for run in found])
    kept, left_out = list[Entry](), list[LeftOut]()
    for run, name in zip(found, names, strict=True):
        entry = Entry(name, run, RunFolder(run.folder).digests())
        reason = _why_out(entry, kept)
        if reason:
            left_out.append(LeftOut(name, reason))
        else:
            kept.append(entry)
    return kept, left_out


def _runs_of(folder: Path) -> list[Path]:
    if _is_run(folder):
        return [folder.resolve()]
    inside = [path.resolve() for path in sorted(folder.iterdir()) if _is_run(path)] if folder.is_dir() else []
    if not inside:
        raise RunError(f"{folder}: {no_run(folder, 'folders of runs, or of sweeps')}")
    return inside


def _is_run(folder: Path) -> bool:
    paths = RunPaths(folder)
    return paths.is_run or paths.is_finished


def _why_out(entry: Entry, earlier: Sequence[Entry]) -> str:
    run = entry.run
    if run.status == "unfinished":
        return "is not finished"
    if run.evaluated:
        return "is a model that was measured as it is, without a method"
    if run.after is None or not any(m.value is not None for m in run.after.measures):
        return "was not measured at its end"
    twin = next((other for other in earlier if run.recipe and _same_run(entry, other)), None)
    return "" if twin is None else f"is {twin.name} again: the same settings, data and seed"


def _same_run(one: Entry, other: Entry) -> bool:
    return _known(one) == _known(other)


def _known(entry: Entry) -> tuple[object, ...]:
    """All that a second start of one run has in common with the first."""
    run = entry.run
    return entry.method, entry.seed, entry.settings, entry.digests, run.data, run.model, run.suite, run.oracle
