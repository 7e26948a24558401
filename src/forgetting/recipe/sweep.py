"""Sweeps by name or path, expanded into runs: each point of the grid is one recipe."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forgetting.core.errors import RecipeError
from forgetting.recipe import Recipe, files
from forgetting.recipe.changes import combined, parsed
from forgetting.recipe.reading import with_changes, written
from forgetting.recipe.sweep_file import (
    BUILT_IN,
    OWN_KEYS,
    Settings,
    SweepFile,
    as_yaml,
    check_sweep,
    label_of,
    read_sweep,
)


@dataclass(frozen=True)
class PlannedRun:
    """One point of the grid and its recipe."""

    point: Mapping[str, str]
    """Label by axis."""
    changes: Settings
    """The values that the point and the sweep set in the recipe."""
    recipe: Recipe

    @property
    def overrides(self) -> tuple[str, ...]:
        """The changes as command-line arguments."""
        return tuple(f"{key}={as_yaml(value)}" for key, value in self.changes.items())

    @property
    def name(self) -> str:
        """The name of its folder, below the sweep's."""
        return self.recipe.name


@dataclass(frozen=True)
class Sweep:
    """A sweep file expanded into runs, all of them valid recipes."""

    file: SweepFile
    folder: Path
    runs: tuple[PlannedRun, ...]


_MOST_POINTS = 100_000
"""Far beyond what is ever run; each point is a recipe in memory."""


def load_sweep(name: str, overrides: Sequence[str] = (), *, output: str | None = None) -> Sweep:
    """The sweep in a YAML file, or a built-in one by its name; `key=value` overrides apply to all runs.

    `name=…` and `output=…` are those of the sweep.

    Raises:
        RecipeError: no such sweep, an invalid key or value, or a point that gives no valid recipe.
    """
    path = files.found(name, BUILT_IN, "sweep")
    where = name if path.parent == BUILT_IN else str(path)
    given = parsed(overrides)
    own = {key: str(given.pop(key)) for key in OWN_KEYS if key in given}
    file = read_sweep(path, where, own.get("name"))
    check_sweep(file, given, where)
    base = _Base(*_recipe_of(file, path, where), where)
    runs = [_planned(file, point, base, given) for point in _points(file, where)]
    folder = Path(output or own.get("output") or runs[0].recipe.output) / file.name
    runs = [replace(run, recipe=run.recipe.with_values({"output": str(folder)})) for run in runs]
    _check_apart(runs, where)
    return Sweep(file, folder, tuple(runs))


def sweep_names() -> list[str]:
    """The built-in sweeps."""
    return files.names(BUILT_IN)


def sweep_summary(name: str) -> str:
    """The first line of a built-in sweep: its purpose and how to call it."""
    return files.summary(name, BUILT_IN)


def _points(file: SweepFile, where: str) -> list[dict[str, str]]:
    """Label by axis of every point that is not skipped; the last axis changes fastest."""
    count = math.prod(map(len, file.grid.values()))
    if count > _MOST_POINTS:
        raise RecipeError(f"{where}: 'grid' has {count:,} points, more than {_MOST_POINTS:,}; leave values out")
    skipped = [{axis: label_of(value) for axis, value in point.items()}.items() for point in file.skip]
    points = [dict(zip(file.grid, labels, strict=True)) for labels in itertools.product(*file.grid.values())]
    kept = [point for point in points if not any(skip <= point.items() for skip in skipped)]
    if not kept:
        raise RecipeError(f"{where}: 'skip' leaves no point of the grid; leave out less")
    return kept


@dataclass(frozen=True)
class _Base:
    """The recipe that every point changes: its values, its name, and the file of the sweep."""

    values: Mapping[str, Any]
    recipe: str
    sweep: str

    def changed(self, *changes: Settings) -> Recipe:
        """The recipe with changes; later ones override earlier ones."""
        return with_changes(self.values, combined(*changes), self.recipe)


def _recipe_of(file: SweepFile, path: Path, where: str) -> tuple[Mapping[str, Any], str]:
    """The sweep's recipe as written: a built-in one, or a file next to the sweep's."""
    beside = Path(file.recipe).suffix in (".yaml", ".yml")
    try:
        return written(str(path.parent / file.recipe) if beside else file.recipe)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _planned(file: SweepFile, point: Mapping[str, str], base: _Base, overrides: Settings) -> PlannedRun:
    places = {"set": file.set, **{f"grid.{axis}.{label}": file.grid[axis][label] for axis, label in point.items()}}
    places["the command line"] = overrides
    every = combined(*places.values())
    try:
        return PlannedRun(point, every, base.changed(every, {"name": _slug(file, point)}))
    except RecipeError as error:
        raise RecipeError(f"{base.sweep}: {_origin(base, places, str(error))}{error}") from error


def _origin(base: _Base, places: Mapping[str, Settings], error: str) -> str:
    """The part of the file that causes the error."""
    applied: list[Settings] = []
    for place, changes in places.items():
        before, applied = applied, [*applied, changes]
        if _error(base, applied) == error != _error(base, before):
            return f"'{place}': "
    return ""


def _error(base: _Base, changes: Sequence[Settings]) -> str | None:
    try:
        base.changed(*changes)
    except RecipeError as error:
        return str(error)
    return None


def _slug(file: SweepFile, point: Mapping[str, str]) -> str:
    """The point as a folder name: `GD-rank4-seed0`."""
    parts = []
    for axis, label in point.items():
        of_key = file.grid[axis][label].keys() == {axis}
        text = f"{axis.rpartition('.')[2]}{label}" if of_key and not label[:1].isalpha() else label
        short = re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")
        if len(short) > 40:
            short = f"{short[:32]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        parts.append(short)
    return "-".join(parts)


def _check_apart(runs: Sequence[PlannedRun], where: str) -> None:
    """Checks that no two points share a folder or are the same run."""
    names: dict[str, PlannedRun] = {}
    trainings: dict[str, PlannedRun] = {}
    for run in runs:
        for found, key in ((names, run.name.lower()), (trainings, _training(run.recipe))):
            twin = found.setdefault(key, run)
            if twin is not run:
                one, other = (", ".join(r.point.values()) for r in (twin, run))
                what = "one folder name; give them other labels" if found is names else "the same run; skip one of them"
                raise RecipeError(f"{where}: the points ({one}) and ({other}) give {what}")


def _training(recipe: Recipe) -> str:
    """The recipe without its name; for full tuning, without rank and other keys of an adapter."""
    values = recipe.model_dump(mode="json", exclude={"name"})
    for stage in values["stages"]:
        if (stage.get("adapter") or {}).get("kind") == "full":
            stage["adapter"] = None
    return json.dumps(values)
