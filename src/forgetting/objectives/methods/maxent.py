"""Maximum entropy: pulls the distributions of what is to be forgotten to uniform."""

from __future__ import annotations

from forgetting.core.example import Role
from forgetting.objectives.losses import kl_from_uniform
from forgetting.objectives.methods.common import Retain, RetainWeight, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "maxent",
    paper="arXiv 2410.08109",
    when="The answer should become a guess among all tokens, as a teacher for distillation.",
)
def maxent(
    forget_weight: Weight = 1.0, retain_weight: RetainWeight = 1.0, retain: Retain = "nll", average: Average = "token"
) -> Objective:
    """MaxEnt (ME): λ·mean KL(1/V ‖ p) on forget, + σ·retain (arXiv 2410.08109, section 4; a teacher of UNDO).

    The direction is the released code's, whose 1e-12 inside the logarithm is left out: it bends the gradient of tokens
    less likely than that. `jensun` with `target: uniform` pulls to the same distribution by a bounded divergence.
    Both weights are 1 here; the authors' settings for TOFU weigh forgetting 0.1.
    """
    forget = Term(Role.FORGET, kl_from_uniform, weight=parse_weight(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))
