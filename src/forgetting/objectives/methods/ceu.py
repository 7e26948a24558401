"""CE-U: distillation from the model itself without the token to forget."""

from __future__ import annotations

from forgetting.core.example import Role
from forgetting.objectives.losses import ceu as ceu_loss
from forgetting.objectives.methods.common import Retain, RetainWeight, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "ceu",
    paper="arXiv 2503.01224",
    when="No reference fits the memory, and ascent destroys the model.",
)
def ceu(
    forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll", average: Average = "token"
) -> Objective:
    """CE-U: λ·cross-entropy to the model's own distribution without the token on forget, + σ·retain (arXiv 2503.01224).

    The target is softmax(z, z_y = −∞) without gradient: UNDIAL with β → ∞ and the current model as its teacher.
    Its gradient is that of the unlikelihood loss −log(1 − p(y)). The paper has no retain term (`retain: none`).
    open-unlearning leaves out every answer's first token by default; data weights of 0 do that.
    """
    forget = Term(Role.FORGET, ceu_loss, weight=parse_weight(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))
