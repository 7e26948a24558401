"""UNDIAL: distillation from a teacher with a lowered logit of the token to forget."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import undial as undial_loss
from forgetting.objectives.methods.common import Retain, RetainWeight, check_positive, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "undial",
    paper="arXiv 2402.10052",
    when="A fixed target without ascent: long runs end where the teacher is.",
)
def undial(
    beta: Annotated[float, Tunable(3.0, 30.0, log=True)] = 10.0,
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
    average: Average = "token",
) -> Objective:
    """UNDIAL: λ·cross-entropy to softmax(z_ref − β·onehot(y)) on forget, + σ·retain (arXiv 2402.10052).

    The teacher is the reference with the logit of the token to forget lowered by β, on supervised tokens only
    (open-unlearning averages over prompt and padding, and demotes token V − 100 there). The paper tries β 3, 10 and 30
    and has no retain term (`retain: none`); 10 is open-unlearning's.
    """
    check_positive("undial", beta=beta)
    forget = Term(Role.FORGET, undial_loss(beta), weight=parse_weight(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))
