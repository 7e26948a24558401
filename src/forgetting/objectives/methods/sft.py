"""Supervised fine-tuning."""

from __future__ import annotations

from typing import Literal, get_args

from forgetting.core.errors import RecipeError, nearest
from forgetting.core.example import Role
from forgetting.objectives.losses import nll
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term

Taught = Literal["train", "forget"]


@register_method(
    "sft",
    when="Fine-tuning, and the reference or oracle of other stages.",
)
def sft(average: Average = "token", role: Taught = "train") -> Objective:
    """Fine-tuning: +nll(train).

    Args:
        role: the data it learns. `forget`: what is to be forgotten is learned once more, before its task vector is
            subtracted.

    Raises:
        RecipeError: another role.
    """
    if role not in get_args(Taught):
        raise RecipeError(f"sft: unknown role '{role}'; {nearest(str(role), get_args(Taught))}")
    return Objective(Term(Role(role), nll, average=average))
