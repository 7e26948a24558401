"""Gradient ascent with tokens weighted by the model's confidence in them."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import weighted_nll
from forgetting.objectives.methods.common import Retain, RetainWeight, check_not_negative, negative, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight


@register_method(
    "satimp",
    paper="arXiv 2505.11953",
    when="As wga, where tokens that are already certain should not lead.",
)
def satimp(
    beta1: Annotated[float, Tunable(1.0, 10.0, log=True)] = 5.0,
    beta2: Annotated[float, Tunable(0.1, 3.0, log=True)] = 1.0,
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 0.1,
    retain: Retain = "nll",
    average: Average = "token",
) -> Objective:
    """SatImp: −λ·mean([p^β1·(1 − p)^β2]·nll) on forget, + σ·retain; brackets as for WGA (arXiv 2505.11953).

    A token with p = β1/(β1 + β2) has the largest weight. β 5 and 1 and the weights 1 and 0.1 are those of
    open-unlearning's trainer and readme; its settings file swaps the weights.
    """
    check_not_negative("satimp", beta1=beta1, beta2=beta2)
    forget = Term(Role.FORGET, weighted_nll(beta1, beta2), weight=negative(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))
