"""Recipes by name or path, from plain values and from the command line, with errors of one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forgetting.core.errors import RecipeError
from forgetting.recipe import files
from forgetting.recipe.changes import changed, parsed
from forgetting.recipe.errors import one_line
from forgetting.recipe.values import Recipe
from forgetting.token_selection.selection import Selection

BUILT_IN = Path(__file__).parents[1] / "recipes"


def recipe_from(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain values.

    Raises:
        RecipeError: one line that names the first wrong key and the nearest right one.
    """
    return Recipe.from_values(values, where)


def selection_from(**values: object) -> Selection:
    """A selection of tokens from plain values.

    Raises:
        RecipeError: one line that names the first wrong key.
    """
    try:
        return Selection.model_validate(values)
    except ValidationError as error:
        raise RecipeError(one_line(error, Selection)) from error


def load_recipe(name: str, changes: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or a built-in one by its name, with changes.

    Args:
        name: a path that ends in .yaml, or a name of `recipe_names`.
        changes: as in `Recipe.with_values`, or equivalent `key=value` arguments. The file alone may lack the keys that
            they set.

    Raises:
        RecipeError: no such recipe, not YAML, or an invalid key or value.
    """
    values, where = written(name)
    return with_changes(values, changes if isinstance(changes, Mapping) else parsed(changes), where)


def written(name: str) -> tuple[Mapping[str, Any], str]:
    """The values of a recipe as written, and its name in messages.

    Raises:
        RecipeError: no such recipe, or not YAML.
    """
    path = files.found(name, BUILT_IN, "recipe")
    values = files.values(path, "a recipe has at least model, data and stages")
    return values, str(path) if path.parent != BUILT_IN else name


def with_changes(values: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> Recipe:
    """The recipe of these values with changes as in `Recipe.with_values`; the values alone need not be a valid recipe.

    Raises:
        RecipeError: an invalid key or value.
    """
    return recipe_from(changed(values, changes, Recipe.model_fields), where)


def recipe_names() -> list[str]:
    """The built-in recipes."""
    return files.names(BUILT_IN)


def recipe_summary(name: str) -> str:
    """The first line of a built-in recipe: its purpose and how to call it."""
    return files.summary(name, BUILT_IN)
