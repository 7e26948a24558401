"""Weights of terms: a constant, or a function of the step."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from typing import Any

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.strict import of_kind

Schedule = Callable[[int, int], float]
"""`(step, total steps) -> weight`, step = 0 … total − 1."""
Weight = float | Schedule


def linear(start: float, end: float) -> Schedule:
    """start + (end − start)·step/(total − 1): reaches `end` on the last step."""
    return lambda step, total: start + (end - start) * step / max(total - 1, 1)


def forgetting(t_min: float, t_max: float) -> Schedule:
    """(t_max − t_min)·step/total: λ(step) exactly as in Forgetting's eq. 8 (it starts at 0, not at t_min)."""
    return lambda step, total: (t_max - t_min) * step / total


def weight_at(weight: Weight, step: int, total: int) -> float:
    """The weight's value at `step` of `total`."""
    return weight(step, total) if callable(weight) else weight


_EXAMPLE = "{schedule: linear, start: 0, end: 1}"
_SCHEDULES: dict[str, Callable[..., Schedule]] = {"linear": linear, "forgetting": forgetting}


def takes_weight(name: str, hint: Any) -> bool:
    """Whether a method's parameter of this name and type is the weight of a term."""
    hint = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    return bool(hint == Weight) or (hint is object and name.endswith("_weight"))


def parse_weight(value: object) -> Weight:
    """A weight as written in a recipe: a number, or `{schedule: linear, start: 0, end: 1}`.

    It is never negative, as a method's own formula says which terms ascend.

    Raises:
        RecipeError: neither of these, an unknown schedule, arguments that it does not take, or values below 0.
    """
    if callable(value):
        return value
    if not isinstance(value, dict) or "schedule" not in value:
        return _not_negative(value, f"{value!r} is not a weight; write a number or {_EXAMPLE}")
    arguments = dict(value)
    name = str(arguments.pop("schedule"))
    if name not in _SCHEDULES:
        raise RecipeError(f"unknown schedule '{name}'; {nearest(name, _SCHEDULES)}")
    wrong = f"schedule '{name}': {{}} is {{!r}}; write a number"
    numbers = {key: _not_negative(v, wrong.format(key, v)) for key, v in arguments.items()}
    try:
        schedule = _SCHEDULES[name](**numbers)
    except TypeError as error:
        raise RecipeError(f"schedule '{name}': {error}") from error
    if schedule(1, 2) < 0:
        raise RecipeError(f"schedule '{name}': t_max is below t_min, so the weight falls below 0; exchange them")
    return schedule


def _not_negative(value: object, otherwise: str) -> float:
    """The number as written.

    Raises:
        RecipeError: `otherwise`, if it is no finite number; or it is below 0.
    """
    try:
        number = of_kind(value, float)
        if not math.isfinite(number):
            raise RecipeError(otherwise)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecipeError(otherwise) from error
    if number < 0:
        raise RecipeError(f"{value!r} is below 0, which turns its term round; the method itself knows what ascends")
    return float(number)
