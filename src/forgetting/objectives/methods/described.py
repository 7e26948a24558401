"""What a method needs beside the data that it forgets or learns."""

from __future__ import annotations

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.objectives.methods.registry import build_method
from forgetting.objectives.objective import Objective


def needs(name: str) -> tuple[str, ...]:
    """What a method needs with its defaults, apart from the data it forgets or learns.

    It is read from the objective: roles of data, the reference, popularity, hidden states, gradients part by part. Of a
    method with required keys nothing is said.
    """
    try:
        objective = build_method(name)
    except RecipeError:
        return ()
    return (*(role for role in objective.roles if role not in (Role.FORGET, Role.TRAIN)), *_further(objective))


def _further(objective: Objective) -> list[str]:
    asked = {
        "reference": objective.needs_reference,
        "popularity": any(term.loss.needs_popularity for term in objective.terms),
        "hidden states": bool(objective.layers),
        "gradients part by part": len(objective.parts) > 1,
    }
    return [what for what, is_needed in asked.items() if is_needed]
