"""Where settings of a tuned stage are sought: what all methods have, what a method says itself, what a user says."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.registry import Entry
from forgetting.core.tunable import OneOf, Sought, Tunable, sought
from forgetting.objectives.methods import METHODS
from forgetting.recipe.stage import Stage

Space = Mapping[str, Sought]
"""By key of the stage: `learning_rate`, `method.beta`, `adapter.rank`."""
OF_METHOD = "method."
"""How a key of a method's own parameter begins."""
_FIXED = ("name", "method", "transform", "skip", "place")
"""Keys of a stage that say which it is."""
RATES, DURATIONS = 10.0, 2.0
"""The learning rate is sought between the recipe's own divided and multiplied by this; the duration likewise."""


def check_written(space: Mapping[str, Any]) -> Mapping[str, Any]:
    """The space as written in a recipe, by dotted keys: `{method: {beta: …}}` and `{method.beta: …}` are one.

    Raises:
        ValueError: a value is neither a range, nor a list, nor null; the key is named.
    """
    found = dict(_flat(space))
    for key, written in found.items():
        _sought(f"space.{key}", written, whole=False)
    return found


def _flat(space: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, written in space.items():
        if isinstance(written, Mapping) and written and not {"low", "high"} & written.keys():
            yield from _flat(written, f"{start}{key}.")
        else:
            yield f"{start}{key}", written


def space_of(stage: Stage, method: str, written: Mapping[str, Any]) -> Space:
    """Where the settings of a stage with this method are sought.

    Every method has `learning_rate` (log-uniform, from a tenth to ten times the recipe's) and `duration` (log-uniform,
    from half to twice the recipe's, in its unit and with its least steps); its own parameters are those that say in
    their type where they are sought, as `method.NAME`. What the recipe writes replaces these; null leaves a key as it
    is.

    Args:
        stage: as the recipe has it.
        method: the method's name; the stage's own may be another.
        written: the recipe's `space`. Keys of parameters that this method does not have are for others.

    Raises:
        RecipeError: an unknown key, or a value that does not fit it.
    """
    entry = METHODS.get(method)
    found: dict[str, Sought] = dict(_of_every_method(stage))
    found |= {f"{OF_METHOD}{key}": own for key, own in entry.sought.items()}
    for key, value in written.items():
        name = key.removeprefix(OF_METHOD)
        if name != key and name not in entry.parameters:
            continue
        given = _sought(f"space.{key}", value, whole=_whole(entry, stage, key))
        if key == "duration" and isinstance(given, OneOf) and any(isinstance(v, str) for v in given.values):
            raise RecipeError(
                f"space.{key}: write numbers; each is meant in {stage.duration.unit}, as the recipe's own"
            )
        found.pop(key, None)
        found |= {} if given is None else {key: given}
    return found


def check_keys(written: Mapping[str, Any], methods: Iterable[str]) -> None:
    """Checks that every key of a space is one of a stage, or a parameter of one of the methods.

    Raises:
        RecipeError: one is neither; the message has the nearest.
    """
    for key in written:
        if key in _FIXED:
            raise RecipeError(f"space.{key}: a stage's {key} is not sought; methods are compared with --methods")
    parameters = {f"{OF_METHOD}{key}" for name in methods for key in METHODS.get(name).parameters}
    for key in written:
        if key not in parameters and (key.startswith(OF_METHOD) or key.split(".")[0] not in Stage.model_fields):
            raise RecipeError(f"space.{key}: no method here has it; {nearest(key, {*parameters, *Stage.model_fields})}")


def own_point(stage: Stage, method: str, space: Space) -> dict[str, Any]:
    """The recipe's own settings as a point of the space, with the method's defaults; what lies outside is left out."""
    own = stage.model_dump(mode="json")
    given = {**METHODS.get(method).defaults, **(stage.method if stage.what == method else {})}
    found: dict[str, Any] = {}
    for key, where in space.items():
        value: Any = stage.duration.value if key == "duration" else _at(own, key)
        if key.startswith(OF_METHOD):
            value = given.get(key.removeprefix(OF_METHOD))
        if value in where:
            found[key] = value
    return found


def settings_at(stage: Stage, method: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that give a recipe's stage a method and the settings of a point, for `Recipe.with_values`."""
    start = f"stages.{stage.name}."
    found: dict[str, Any] = {} if stage.what == method else {f"{start}method": method}
    for key, value in point.items():
        found[start + key] = str(replace(stage.duration, value=float(value))) if key == "duration" else value
    return found


def _of_every_method(stage: Stage) -> dict[str, Sought]:
    rate, length = stage.learning_rate, stage.duration
    low, high = length.value / DURATIONS, length.value * DURATIONS
    durations = Tunable(low, high, log=True)
    if length.unit != "epochs":
        durations = Tunable(max(1, round(low)), max(2, round(high)), log=True, whole=True)
    return {"learning_rate": Tunable(rate / RATES, rate * RATES, log=True), "duration": durations}


def _sought(key: str, written: Any, *, whole: bool) -> Sought | None:
    try:
        return sought(written, whole=whole)
    except ValueError as error:
        raise RecipeError(f"{key}: {error}") from error


def _whole(entry: Entry[Any], stage: Stage, key: str) -> bool:
    """Whether a key takes whole numbers only."""
    if key == "duration":
        return stage.duration.unit != "epochs"
    if key.startswith(OF_METHOD):
        return _is_whole(entry.types.get(key.removeprefix(OF_METHOD)))
    model: Any = Stage
    for part in key.split("."):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return False
        model = fields[part].annotation
        model = next((m for m in typing.get_args(model) if hasattr(m, "model_fields")), model)
    return _is_whole(model)


def _is_whole(hint: Any) -> bool:
    hint = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    kinds = {*typing.get_args(hint)} - {type(None)} if typing.get_args(hint) else {hint}
    return kinds == {int}


def _at(values: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
