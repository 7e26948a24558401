"""Direct preference optimisation: prefers another answer to the one to forget."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import Scale
from forgetting.objectives.losses import dpo as dpo_loss
from forgetting.objectives.methods.common import Retain, RetainWeight, check_positive, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "dpo",
    paper="arXiv 2305.18290",
    when="Questions that should be refused, or answered as the alternates do.",
)
def dpo(
    beta: Annotated[float, Tunable(0.03, 1.0, log=True)] = 0.1,
    scale: Scale = "published",
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
) -> Objective:
    """DPO: −mean log σ(β·(Δ_alternate − Δ_forget)), Δ = log(π/π_ref), + σ·retain (arXiv 2305.18290; IdkDPO of TOFU).

    Every forget answer is the rejected one; the chosen one is an alternate answer to the same question: a refusal or a
    counterfactual.
    `scale: open_unlearning` multiplies the first term by 2/β. β 0.1 and the weights 1 are TOFU's.
    """
    check_positive("dpo", beta=beta)
    weight, partner = parse_weight(forget_weight), Role.ALTERNATE
    forget = Term(Role.FORGET, dpo_loss(beta, scale), weight=weight, average="sequence", partner=partner)
    return Objective(forget, *retain_terms(retain, retain_weight))
