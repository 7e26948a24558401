"""What a user writes of a sweep: a recipe, axes over its keys, and which of them are averaged over."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from forgetting.core.errors import RecipeError, nearest
from forgetting.recipe import Recipe, files, load_recipe

BUILT_IN = Path(__file__).parents[1] / "sweeps"
OWN_KEYS = ("name", "output")
"""Keys of a recipe that a sweep sets itself."""

Settings = Mapping[str, Any]
Axes = dict[str, dict[str, Settings]]
"""Axis → label → what it sets."""


def _text(value: Any) -> str:
    """A value of an axis as its label."""
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else _yaml(value)


def _yaml(value: Any) -> str:
    """A value as an override writes it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _axes(grid: Any) -> Axes:
    """The axes as written, each a list of values of the key that names it, or labels with what they set."""
    if not isinstance(grid, Mapping) or not grid:
        raise ValueError("give at least one axis, e.g. {seed: [0, 1, 2]}")
    return {str(name): _axis(str(name), given) for name, given in grid.items()}


def _axis(name: str, given: Any) -> dict[str, Settings]:
    if isinstance(given, Mapping) and given:
        for label, settings in given.items():
            if settings is not None and not isinstance(settings, Mapping):
                raise ValueError(f"{name}.{label} is {settings!r}; write what it sets: {label}: {{{name}: {settings}}}")
        return {str(label): _keys_of(settings or {}) for label, settings in given.items()}
    if isinstance(given, list) and given:
        labels = [_text(value) for value in given]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ValueError(f"{name}: {twice} stands there twice; leave one out")
        return {label: _keys_of({name: value}) for label, value in zip(labels, given, strict=True)}
    raise ValueError(f"{name}: give a list of values, or labels with what they set")


def _keys_of(settings: Mapping[Any, Any]) -> dict[str, Any]:
    for key in settings:
        if key in OWN_KEYS:
            raise ValueError(f"'{key}' is set by the sweep itself; leave it out")
    return {str(key): value for key, value in settings.items()}


class SweepFile(BaseModel):
    """A sweep as it is written."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="The sweep's folder below `output`.")
    recipe: str = Field(description="A built-in recipe, or a .yaml file beside the sweep's.")
    set: Annotated[dict[str, Any], AfterValidator(_keys_of)] = Field(
        default_factory=dict, description="Overrides for all runs."
    )
    grid: Annotated[Axes, BeforeValidator(_axes)] = Field(
        description="Axes, whose product is run: a recipe key with a list of values, or a name with labelled overrides."
    )
    replicates: list[str] | None = Field(None, description="Axes that are averaged over; default: seed, if it is one.")
    skip: list[dict[str, Any]] = Field(default_factory=list, description="Points to leave out, by axis and label.")
    columns: list[str] | None = Field(None, description="Measures (split/name) to show; default: the report's.")

    @property
    def averaged(self) -> list[str]:
        """The axes that are averaged over."""
        return [a for a in ("seed",) if a in self.grid] if self.replicates is None else self.replicates


@dataclass(frozen=True)
class PlannedRun:
    """One point of the grid and the recipe that it gives."""

    point: Mapping[str, str]
    """Label by axis."""
    overrides: tuple[str, ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of its folder, below the sweep's."""
        return self.recipe.name


@dataclass(frozen=True)
class Sweep:
    """A sweep file made out into runs, all of them valid recipes."""

    file: SweepFile
    folder: Path
    runs: tuple[PlannedRun, ...]


def load_sweep(name: str, overrides: Sequence[str] = (), *, output: str | None = None) -> Sweep:
    """The sweep in a YAML file, or a built-in one by its name; `key=value` overrides hold for all runs.

    `name=…` and `output=…` are those of the sweep.

    Raises:
        RecipeError: no such sweep, a key or value without meaning, or a point that gives no valid recipe.
    """
    path = files.found(name, BUILT_IN, "sweep")
    where = name if path.parent == BUILT_IN else str(path)
    own = {key: value for key, _, value in (o.partition("=") for o in overrides) if key in OWN_KEYS}
    file = _read(path, where, own.get("name"))
    others = [o for o in overrides if o.partition("=")[0] not in OWN_KEYS]
    _check(file, others, where)
    recipe = str(path.parent / file.recipe) if Path(file.recipe).suffix in (".yaml", ".yml") else file.recipe
    runs = [_planned(file, point, recipe, others, where) for point in _points(file, where)]
    folder = Path(output or own.get("output") or runs[0].recipe.output) / file.name
    runs = [replace(run, recipe=run.recipe.model_copy(update={"output": str(folder)})) for run in runs]
    _check_apart(runs, where)
    return Sweep(file, folder, tuple(runs))


def sweep_names() -> list[str]:
    """The built-in sweeps."""
    return files.names(BUILT_IN)


def sweep_summary(name: str) -> str:
    """The first line of a built-in sweep: what it is for and how to call it."""
    return files.summary(name, BUILT_IN)


def _read(path: Path, where: str, name: str | None) -> SweepFile:
    values = files.values(path, "a sweep has at least name, recipe and grid")
    try:
        return SweepFile.model_validate(values if name is None else {**values, "name": name})
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            raise RecipeError(f"{where}: unknown key '{key}'; {nearest(key, SweepFile.model_fields)}") from error
        said = "is missing" if detail["type"] == "missing" else detail["msg"].removeprefix("Value error, ")
        raise RecipeError(f"{where}: '{key}': {said}") from error


def _check(file: SweepFile, overrides: Sequence[str], where: str) -> None:
    """Names of axes and labels, and what would be set twice."""
    for axis in file.averaged:
        if axis not in file.grid:
            raise RecipeError(f"{where}: 'replicates': no axis '{axis}'; {nearest(axis, file.grid)}")
    for number, skipped in enumerate(file.skip):
        for axis, value in skipped.items():
            if axis not in file.grid:
                raise RecipeError(f"{where}: 'skip.{number}': no axis '{axis}'; {nearest(axis, file.grid)}")
            if _text(value) not in file.grid[axis]:
                raise RecipeError(
                    f"{where}: 'skip.{number}.{axis}': no point {_text(value)}; "
                    f"{nearest(_text(value), file.grid[axis])}"
                )
    for first, second in itertools.combinations(file.grid, 2):
        for one, other in itertools.product(_keys(file.grid[first]), _keys(file.grid[second])):
            if _within(one, other):  # Axes are applied in their order.
                raise RecipeError(
                    f"{where}: 'grid.{second}' sets '{other}', which undoes '{one}' of 'grid.{first}'; put the wider "
                    "one first, or set narrower keys"
                )
    for axis, points in file.grid.items():
        for one, other in itertools.product(file.set, _keys(points)):
            if one != other and _within(one, other):
                raise RecipeError(
                    f"{where}: 'grid.{axis}' sets '{other}', which undoes 'set.{one}'; set it in the points of the axis"
                )
    for key in (o.partition("=")[0] for o in overrides):
        for axis, points in file.grid.items():
            if any(_within(key, own) or _within(own, key) for own in _keys(points)):
                raise RecipeError(f"'{key}' is set by 'grid.{axis}' of {where}; change it there")


def _keys(points: Mapping[str, Settings]) -> list[str]:
    return list(dict.fromkeys(key for settings in points.values() for key in settings))


def _within(one: str, other: str) -> bool:
    """Whether the key `one` is `other` or lies below it; where there is one stage, its keys may be written alone."""
    if one.startswith("stages.") != other.startswith("stages."):
        one, other = (re.sub(r"^stages\.[^.]+\.", "", key) for key in (one, other))
    return one == other or one.startswith(f"{other}.")


def _points(file: SweepFile, where: str) -> list[dict[str, str]]:
    """Label by axis of every point that is not skipped; the last axis changes fastest."""
    skipped = [{axis: _text(value) for axis, value in point.items()}.items() for point in file.skip]
    points = [dict(zip(file.grid, labels, strict=True)) for labels in itertools.product(*file.grid.values())]
    kept = [point for point in points if not any(skip <= point.items() for skip in skipped)]
    if not kept:
        raise RecipeError(f"{where}: 'skip' leaves no point of the grid; leave out less")
    return kept


def _planned(
    file: SweepFile, point: Mapping[str, str], recipe: str, overrides: Sequence[str], where: str
) -> PlannedRun:
    sources = {"set": file.set, **{f"grid.{axis}.{label}": file.grid[axis][label] for axis, label in point.items()}}
    given = {place: [f"{key}={_yaml(value)}" for key, value in keys.items()] for place, keys in sources.items()}
    given["the command line"] = list(overrides)
    every = tuple(itertools.chain(*given.values()))
    try:
        return PlannedRun(point, every, load_recipe(recipe, [*every, f"name={_yaml(_slug(file, point))}"]))
    except RecipeError as error:
        raise RecipeError(f"{where}: {_origin(recipe, given, str(error))}{error}") from error


def _origin(recipe: str, given: Mapping[str, Sequence[str]], error: str) -> str:
    """Which part of the file brings the error about."""
    applied: list[str] = []
    for place, overrides in given.items():
        before, applied = applied, [*applied, *overrides]
        if _error(recipe, applied) == error != _error(recipe, before):
            return f"'{place}': "
    return ""


def _error(recipe: str, overrides: Sequence[str]) -> str | None:
    try:
        load_recipe(recipe, overrides)
    except RecipeError as error:
        return str(error)
    return None


def _slug(file: SweepFile, point: Mapping[str, str]) -> str:
    """The point as the name of a folder: `GD-rank4-seed0`."""
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
    """No two points share a folder or are one and the same training."""
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
    """The recipe without its name; full tuning has no rank, nor anything else of an adapter."""
    stages = [s.model_copy(update={"adapter": None}) if s.adapter_or_full.kind == "full" else s for s in recipe.stages]
    return recipe.model_copy(update={"name": "run", "stages": stages}).model_dump_json()
