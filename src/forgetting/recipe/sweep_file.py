"""A sweep as written: a recipe, axes over its keys, and the axes that are averaged over."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.strict import Strict
from forgetting.recipe import files

BUILT_IN = Path(__file__).parents[1] / "sweeps"
OWN_KEYS = ("name", "output")
"""Keys of a recipe that a sweep sets itself."""

Settings = Mapping[str, Any]
Axes = dict[str, dict[str, Settings]]
"""Axis → label → the values it sets."""


def label_of(value: Any) -> str:
    """The label of a value of an axis."""
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else as_yaml(value)


def as_yaml(value: Any) -> str:
    """A value in the form of an override."""
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
        labels = [label_of(value) for value in given]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ValueError(f"{name}: {twice} is given twice; leave one out")
        return {label: _keys_of({name: value}) for label, value in zip(labels, given, strict=True)}
    raise ValueError(f"{name}: give a list of values, or labels with what they set")


def _keys_of(settings: Mapping[Any, Any]) -> dict[str, Any]:
    for key in settings:
        if key in OWN_KEYS:
            raise ValueError(f"'{key}' is set by the sweep itself; leave it out")
    return {str(key): value for key, value in settings.items()}


def _key(measure: str) -> str:
    """Checks that a text can be a measure's key."""
    if "/" not in measure.strip("/"):
        raise ValueError(f"'{measure}' is no measure; write split/name, such as forget/probability")
    return measure


_Key = Annotated[str, AfterValidator(_key), WithJsonSchema({"type": "string", "pattern": "[^/]/+[^/]"})]


class Figure(Strict):
    """One figure of a sweep's page: a panel for each point of some axes, a colour for each point of another."""

    model_config = ConfigDict(extra="forbid")

    x: str = Field(
        description="A measure (split/name), such as what the run took (run/flops, run/minutes, stage/minutes); or "
        "an axis of numbers; or, with `along`, epoch or stage: the number of those that are over."
    )
    y: _Key = Field(description="A measure (split/name).")
    panels: list[str] = Field(default_factory=list, description="Axes of which every point has a panel of its own.")
    along: Literal["epochs", "stages"] | None = Field(
        None,
        description="Draw each run's way through its evaluations: during its stages, or before and after each of them.",
    )

    @property
    def keys(self) -> list[str]:
        """The measures that it shows."""
        return [key for key in (self.x, self.y) if "/" in key]


class SweepFile(Strict):
    """A sweep as written."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$", description="The sweep's folder below `output`.")
    recipe: str = Field(description="A built-in recipe, or a .yaml file next to the sweep's.")
    set: Annotated[dict[str, Any], AfterValidator(_keys_of)] = Field(
        default_factory=dict, description="Overrides for all runs."
    )
    grid: Annotated[Axes, BeforeValidator(_axes)] = Field(
        description="Axes; their product is run. A recipe key with a list of values, or a name with labelled overrides."
    )
    replicates: list[str] | None = Field(None, description="Axes that are averaged over; default: seed, if it is one.")
    skip: list[dict[str, Any]] = Field(default_factory=list, description="Points to leave out, by axis and label.")
    columns: list[_Key] | None = Field(None, description="Measures (split/name) to show; default: the report's.")
    figures: list[Figure] = Field(default_factory=list, description="Figures of the page besides those of every sweep.")

    @property
    def averaged(self) -> list[str]:
        """The axes that are averaged over."""
        return [a for a in ("seed",) if a in self.grid] if self.replicates is None else self.replicates


def read_sweep(path: Path, where: str, name: str | None) -> SweepFile:
    """Reads a sweep file, with another `name` if one is given; `where` names the file in messages.

    Raises:
        RecipeError: not YAML, or an invalid key or value.
    """
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


def check_sweep(file: SweepFile, overrides: Iterable[str], where: str) -> None:
    """Checks names of axes and labels, and that nothing is set twice; `overrides` are keys set for all runs.

    Raises:
        RecipeError: an unknown axis or label, a figure of neither measures nor axes, or a key that overrides another.
    """
    for axis in file.averaged:
        if axis not in file.grid:
            raise RecipeError(f"{where}: 'replicates': no axis '{axis}'; {nearest(axis, file.grid)}")
        if file.averaged.count(axis) > 1:
            raise RecipeError(f"{where}: 'replicates': '{axis}' is given twice; leave one out")
    for number, figure in enumerate(file.figures):
        _check_figure(file, figure, f"{where}: 'figures.{number}")
    for number, skipped in enumerate(file.skip):
        for axis, value in skipped.items():
            if axis not in file.grid:
                raise RecipeError(f"{where}: 'skip.{number}': no axis '{axis}'; {nearest(axis, file.grid)}")
            if label_of(value) not in file.grid[axis]:
                raise RecipeError(
                    f"{where}: 'skip.{number}.{axis}': no point {label_of(value)}; "
                    f"{nearest(label_of(value), file.grid[axis])}"
                )
    for first, second in itertools.combinations(file.grid, 2):
        for one, other in itertools.product(_keys(file.grid[first]), _keys(file.grid[second])):
            if _within(one, other):  # Axes are applied in their order.
                raise RecipeError(
                    f"{where}: 'grid.{second}' sets '{other}', which overrides '{one}' of 'grid.{first}'; put the "
                    "wider one first, or set narrower keys"
                )
    for axis, points in file.grid.items():
        for one, other in itertools.product(file.set, _keys(points)):
            if one != other and _within(one, other):
                raise RecipeError(
                    f"{where}: 'grid.{axis}' sets '{other}', which overrides 'set.{one}'; set it in the axis' points"
                )
    for key in overrides:
        for axis, points in file.grid.items():
            if any(_within(key, own) or _within(own, key) for own in _keys(points)):
                raise RecipeError(f"'{key}' is set by 'grid.{axis}' of {where}; change it there")


def number_of(label: str) -> float | None:
    """The number that a label of an axis begins with: 250 of `250 steps`; None if it begins with none."""
    found = re.match(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?(?=\s|$)", label)
    return float(found[0]) if found else None


def _check_figure(file: SweepFile, figure: Figure, where: str) -> None:
    for axis in figure.panels:
        if axis not in file.grid:
            raise RecipeError(f"{where}.panels': no axis '{axis}'; {nearest(axis, file.grid)}")
        if axis == figure.x or figure.panels.count(axis) > 1:
            raise RecipeError(f"{where}.panels': '{axis}' is given twice; leave one out")
    if "/" in figure.x or (figure.along or "").removesuffix("s") == figure.x:
        return
    if figure.along is not None:
        one = figure.along.removesuffix("s")
        raise RecipeError(f"{where}.x' is '{figure.x}'; along {figure.along}, write {one}, or a measure (split/name)")
    if figure.x not in file.grid:
        raise RecipeError(
            f"{where}.x': '{figure.x}' is no measure (split/name) and no axis; {nearest(figure.x, file.grid)}"
        )
    for label in file.grid[figure.x]:
        if number_of(label) is None:
            raise RecipeError(f"{where}.x': the label '{label}' of axis '{figure.x}' is no number; put it in panels")


def _keys(points: Mapping[str, Settings]) -> list[str]:
    return list(dict.fromkeys(key for settings in points.values() for key in settings))


def _within(one: str, other: str) -> bool:
    """Whether the key `one` is `other` or lies below it; keys of an only stage need no prefix."""
    if one.startswith("stages.") != other.startswith("stages."):
        one, other = (re.sub(r"^stages\.[^.]+\.", "", key) for key in (one, other))
    return one == other or one.startswith(f"{other}.")
