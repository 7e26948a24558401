"""Weights of terms: a constant, or a function of the step."""

from __future__ import annotations

from collections.abc import Callable

from forgetting.core.errors import RecipeError, nearest

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


_SCHEDULES: dict[str, Callable[..., Schedule]] = {"linear": linear, "forgetting": forgetting}


def parse_weight(value: object) -> Weight:
    """A weight as written in a recipe: a number, or `{schedule: linear, start: 0, end: 1}`.

    Raises:
        RecipeError: neither of these, an unknown schedule, or arguments that it does not take.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if callable(value):
        return value
    if isinstance(value, dict) and "schedule" in value:
        arguments = dict(value)
        name = arguments.pop("schedule")
        if name not in _SCHEDULES:
            raise RecipeError(f"unknown schedule '{name}'; {nearest(str(name), _SCHEDULES)}")
        try:
            return _SCHEDULES[name](**{key: float(v) for key, v in arguments.items()})
        except (TypeError, ValueError) as error:
            raise RecipeError(f"schedule '{name}': {error}") from error
    raise RecipeError(f"{value!r} is not a weight; write a number or {{schedule: linear, start: 0, end: 1}}")
