"""The inverted hinge loss, alone and as LoKU."""

from __future__ import annotations

from forgetting.core.example import Role
from forgetting.objectives.losses import ihl as ihl_loss
from forgetting.objectives.methods.common import Retain, RetainWeight, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "ihl",
    paper="arXiv 2408.06621",
    when="A bounded loss without a reference, for answers that need not become unlikely beyond the next best token.",
)
def ihl(
    forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll", average: Average = "token"
) -> Objective:
    """Inverted hinge: λ·mean(1 + p(y) − max_{v≠y} p(v)) on forget, + σ·retain (LoKU, section 3.3 and eq. 3)."""
    forget = Term(Role.FORGET, ihl_loss, weight=parse_weight(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))


@register_method(
    "loku",
    adapter={"kind": "lora", "init": "fila", "rank": 32, "alpha": 64, "targets": "all"},
    paper="arXiv 2408.06621",
    when="As ihl, with few trained weights: LoRA that starts where the forget set matters most.",
)
def loku(
    forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll", average: Average = "token"
) -> Objective:
    """LoKU: the inverted hinge objective on LoRA initialised by FILA (arXiv 2408.06621, eq. 3).

    α = 2·rank is from the released code; the text names no α.
    """
    return ihl(forget_weight, retain_weight, retain, average)
