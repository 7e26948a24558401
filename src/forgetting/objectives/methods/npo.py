"""Negative preference optimisation."""

from __future__ import annotations

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.objectives.losses import npo as npo_loss
from forgetting.objectives.methods.common import Retain, retain_terms
from forgetting.objectives.methods.registry import register
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register("npo")
def npo(
    beta: float = 0.1, forget_weight: Weight = 1.0, retain_weight: Weight = 1.0, retain: Retain = "nll"
) -> Objective:
    """NPO: −(2/β)·mean log σ(−β·log(π/π_ref)) on forget, + σ·retain (arXiv 2404.05868).

    DUET uses β = 1 and retain "none".
    """
    if beta <= 0:
        raise RecipeError(f"npo: beta is {beta}; it must be positive")
    forget = Term(Role.FORGET, npo_loss(beta), weight=parse_weight(forget_weight), average="sequence")
    return Objective(forget, *retain_terms(retain, retain_weight))
