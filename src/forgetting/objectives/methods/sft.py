"""Supervised fine-tuning."""

from __future__ import annotations

from forgetting.core.example import Role
from forgetting.objectives.losses import nll
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term


@register_method(
    "sft",
    when="Fine-tuning, and the reference or oracle of other stages.",
)
def sft(average: Average = "token") -> Objective:
    """Fine-tuning: +nll(train)."""
    return Objective(Term(Role.TRAIN, nll, average=average))
