"""Methods by name: functions from typed parameters to an Objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from forgetting.core.errors import said_of
from forgetting.core.registry import Registry
from forgetting.objectives.objective import Objective
from forgetting.objectives.schedule import parse_weight, takes_weight

METHODS: Registry[Callable[..., Objective]] = Registry("methods", "method", "a function that returns an Objective")


def register_method(
    name: str, *, adapter: Mapping[str, object] | None = None, paper: str = "", when: str = ""
) -> Callable[[Callable[..., Objective]], Callable[..., Objective]]:
    """Registers a function that returns an Objective under `name`.

    From another package: name the function in the entry-point group `forgetting.methods` too.

    Args:
        adapter: the default adapter, written as in a recipe; default: full tuning.
        paper: where it was published, `arXiv 2404.05868`; empty: nowhere.
        when: one sentence on when to use it.
    """
    return METHODS.register(name, adapter=dict(adapter or {}), paper=paper, when=when)


def build_method(name: str, parameters: Mapping[str, object] | None = None) -> Objective:
    """The objective of method `name` with these parameters.

    Raises:
        RecipeError: unknown method, a parameter that it does not take, or the result is not an `Objective`.
    """
    types = METHODS.get(name).types
    for key, value in (parameters or {}).items():
        if takes_weight(key, types.get(key)):
            with said_of(f"method '{name}': {key}"):
                parse_weight(value)
    objective = METHODS.build(name, parameters)
    if not isinstance(objective, Objective):
        raise METHODS.misfit(name, objective, "an Objective")
    return objective
