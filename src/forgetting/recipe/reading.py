"""Recipes from YAML files and the command line, with errors of one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from forgetting.core.errors import RecipeError, nearest
from forgetting.data.corpus import Corpus
from forgetting.data.encode import Formatting
from forgetting.data.source import Source
from forgetting.recipe import files
from forgetting.recipe.stage import Adapter, Stage
from forgetting.recipe.values import Recipe
from forgetting.token_selection.selection import Selection

BUILT_IN = Path(__file__).parents[1] / "recipes"


def recipe_from(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain values.

    Raises:
        RecipeError: one line that names the first wrong key and the nearest right one.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first(error)}") from error
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def selection_from(**values: object) -> Selection:
    """A selection of tokens from plain values.

    Raises:
        RecipeError: one line that names the first wrong key.
    """
    try:
        return Selection.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_first(error)) from error


def _first(error: ValidationError) -> str:
    """The first validation error as one line."""
    detail = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    path = ".".join(str(p) for p in detail["loc"])
    if detail["type"] == "extra_forbidden":
        *parents, key = detail["loc"]
        return f"unknown key '{path}'; {nearest(str(key), _fields(parents))}"
    if detail["type"] == "missing":
        return f"'{path}' is missing; write it in the recipe or as {path}=… on the command line"
    message = detail["msg"].removeprefix("Value error, ")
    given = "" if isinstance(detail["input"], dict) else f" (got {detail['input']!r})"
    return f"'{path}': {message}{given}" if path else message


def _fields(parents: Sequence[int | str]) -> list[str]:
    """The keys known below a path of the recipe."""
    places: dict[str, type[BaseModel]] = {
        "adapter": Adapter,
        "corpus": Corpus,
        "data": Source,
        "format": Formatting,
        "select": Selection,
        "stages": Stage,
    }
    inner = next((places[p] for p in reversed(parents) if isinstance(p, str) and p in places), Recipe)
    return list(inner.model_fields)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or a built-in one by its name, with `key=value` overrides.

    Keys are dotted paths; a stage is named by its name or number (`stages.unlearn.learning_rate=1e-4`). Where there is
    one stage, its keys may be written alone (`learning_rate=1e-4`, `method.beta=0.5`). `stages.NAME=null` leaves a
    stage out; the others keep their seeds.

    Raises:
        RecipeError: no such recipe, not YAML, or a key or value without meaning.
    """
    path = files.found(name, BUILT_IN, "recipe")
    values = _unshared(files.values(path, "a recipe has at least model, data and stages"))
    for override in overrides:
        _override(values, override)
    return recipe_from(values, str(path) if path.parent != BUILT_IN else name)


def _unshared(value: Any) -> Any:
    """A copy in which what YAML's anchors made one object is several, so that an override changes one place."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def recipe_names() -> list[str]:
    """The built-in recipes."""
    return files.names(BUILT_IN)


def _override(values: dict[str, Any], override: str) -> None:
    """Sets one dotted key in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"'{override}' is not an override; write key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"'{override}': the value is not YAML; quote it") from error
    path = key.split(".")
    stages = values.get("stages")
    if path[0] not in Recipe.model_fields and isinstance(stages, list) and len(stages) == 1:
        if path[0] not in Stage.model_fields:
            raise RecipeError(f"unknown key '{key}'; {nearest(path[0], {*Recipe.model_fields, *Stage.model_fields})}")
        path = ["stages", "0", *path]
    here: Any = values
    for i, part in enumerate(path[:-1]):
        following = _child(here, part, ".".join(path[: i + 1]))
        if part == "method" and isinstance(following, str):
            following = here[part] = {"name": following}
        if isinstance(following, str) and part in values.get("data", {}):
            following = here[part] = {"path": following}
        here = following
    if path[0] in Stage.model_fields and path[0] not in Recipe.model_fields and isinstance(stages, list):
        names = ", ".join(str(s.get("name", "unlearn")) for s in stages if isinstance(s, dict))
        raise RecipeError(f"'{key}': there are several stages ({names}); write stages.NAME.{key}")
    if isinstance(here, list):
        number = _index(here, path[-1], key)
        leaves_out = value is None and isinstance(here[number], dict)
        here[number] = {**here[number], "skip": True} if leaves_out else value
    elif isinstance(here, dict):
        here[path[-1]] = value
    else:
        raise RecipeError(f"'{key}': '{'.'.join(path[:-1])}' holds {here!r}, which has no keys")


def _child(here: Any, part: str, path: str) -> Any:
    if isinstance(here, list):
        return here[_index(here, part, path)]
    if not isinstance(here, dict):
        raise RecipeError(f"'{path}': there is nothing below {here!r}")
    if here.get(part) is None:
        here[part] = {}
    return here[part]


def _index(items: list[Any], part: str, path: str) -> int:
    names = [item.get("name", "unlearn") if isinstance(item, dict) else str(i) for i, item in enumerate(items)]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise RecipeError(f"'{path}': no stage '{part}'; {nearest(part, names)}")


def recipe_summary(name: str) -> str:
    """The first line of a built-in recipe: what it is for and how to call it."""
    return files.summary(name, BUILT_IN)
