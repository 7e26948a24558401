"""What a command on one model takes of a recipe: the keys that say how a model is loaded, asked and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from forgetting.core.errors import RecipeError
from forgetting.pipeline.run.load import own_settings
from forgetting.recipe import Recipe, recipe_from
from forgetting.recipe.changes import changed

WITHOUT = ("name", "output", "stages", "corpus", "export", "report_to")
"""Keys of a recipe that say nothing of how a model is measured."""
ASKED = ("dtype", "device", "threads", "revision", "format", "data")
"""Keys that say how a model is loaded and asked; data are read where shots are drawn of them."""
_REDRAW = tuple(f"format.shots.{key}" for key in ("source", "role", "count", "seed"))
_EXAMPLES = "format.shots.examples"
_STAGES = [{"method": "sft"}]
"""A recipe has a stage; that of a model which is only measured is never run."""


def settled(model: str, given: Mapping[str, Any], settings: Mapping[str, Any], own: tuple[str, ...]) -> Recipe:
    """A recipe for its keys of loading, asking and measuring.

    If a run is named, it is measured and asked as it was: some keys are the run's own, unless they are given.

    Args:
        model: see `forgetting.models.expression`.
        given: values by key.
        settings: further values; keys may be dotted paths (`format.shots.count`).
        own: which keys are taken from a run that is named.

    Raises:
        RecipeError: an invalid key or value, or one that has no meaning here.
    """
    _check(settings)
    of_run = {key: value for key, value in own_settings(model).items() if key in own}
    shots = of_run.get("format", {}).get("shots")
    if shots and _redraws(settings):
        shots["examples"] = None
    values = changed({"model": model, **of_run, **given}, settings, Recipe.model_fields)
    return recipe_from({**values, "stages": _STAGES}, "settings")


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """A run's recipe with other settings; keys may be dotted paths. Shots are drawn again where they change.

    Raises:
        RecipeError: as `settled`.
    """
    _check(settings)
    again = {_EXAMPLES: None} if recipe.format.shots is not None and _redraws(settings) else {}
    return recipe.with_values({**again, **settings}) if settings else recipe


def check_asked(settings: Mapping[str, Any], also: Sequence[str] = ()) -> None:
    """Checks that settings are of those that matter when a model is asked: `ASKED`, and those named beside them.

    Raises:
        RecipeError: another key.
    """
    takes = (*ASKED, *also)
    for key in settings:
        if key.split(".")[0] not in takes:
            raise RecipeError(f"settings: '{key}' has no meaning where a model is asked; known: {', '.join(takes)}")


def check_data_read(settings: Mapping[str, Any], recipe: Recipe) -> None:
    """Checks that data which the settings name are read: a model that is asked needs them for shots alone.

    Raises:
        RecipeError: they are not.
    """
    key = next((key for key in settings if key.split(".")[0] == "data"), None)
    shots = recipe.format.shots
    if key is not None and (shots is None or shots.examples is not None):
        raise RecipeError(f"settings: '{key}' is not read here; draw shots of it (format.shots), or leave it out")


def _check(settings: Mapping[str, Any]) -> None:
    for key in settings:
        if key.split(".")[0] in WITHOUT:
            raise RecipeError(f"settings: '{key}' belongs to a run; leave it out")


def _redraws(settings: Mapping[str, Any]) -> bool:
    return any(key in settings for key in _REDRAW)


def setting_values(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe in full, as plain values."""
    return {key: value for key, value in recipe.model_dump(mode="json").items() if key not in WITHOUT}


def as_settings(recipe: Recipe) -> str:
    """The same as YAML."""
    return yaml.safe_dump(setting_values(recipe), sort_keys=False, allow_unicode=True)


def rewritten(text: str) -> str:
    """Settings as this version writes them; unchanged if they are none."""
    values = yaml.safe_load(text)
    try:
        return as_settings(recipe_from({**values, "stages": _STAGES}))
    except (RecipeError, TypeError):
        return text
