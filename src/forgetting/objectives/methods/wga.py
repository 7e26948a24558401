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
    "wga",
    paper="arXiv 2502.19301",
    when="As graddiff, but it leaves alone what is already forgotten; no reference.",
)
def wga(
    beta: Annotated[float, Tunable(0.1, 5.0, log=True)] = 1.0,
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
    average: Average = "token",
) -> Objective:
    """WGA: −λ·mean([p^β]·nll) on forget, + σ·retain; the bracket has no gradient (arXiv 2502.19301).

    Tokens already forgotten have weight 0, so it is bounded, unlike ascent (β 0). The mean divides by the number of
    tokens, not by their weights. β 1 and both weights 1 are open-unlearning's.
    """
    check_not_negative("wga", beta=beta)
    forget = Term(Role.FORGET, weighted_nll(beta), weight=negative(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))
