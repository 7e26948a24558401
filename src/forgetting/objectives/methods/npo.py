"""Negative preference optimisation, and SimNPO, which needs no reference."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import Level
from forgetting.objectives.losses import npo as npo_loss
from forgetting.objectives.methods.common import Retain, RetainWeight, check_not_negative, check_positive, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight


@register_method(
    "npo",
    paper="arXiv 2404.05868",
    when="The usual first choice: it slows down as an answer gets unlikelier than it was.",
)
def npo(
    beta: Annotated[float, Tunable(0.03, 3.0, log=True)] = 0.1,
    level: Level = "sequence",
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
) -> Objective:
    """NPO: −(2/β)·mean log σ(−β·log(π/π_ref)) on forget, + σ·retain (arXiv 2404.05868, eq. 3).

    log(π/π_ref) is that of a whole answer, the sum over its tokens. `level: token` treats each token separately and
    averages over tokens: its gradient is ascent weighted by 2p^β/(p^β + p_ref^β), the TNPO of arXiv 2502.19301.
    `level: mean` divides an answer's ratio by its length.

    β 0.1 is the paper's and LoKU's; DUET uses 1 and retain "none"; TNPO's code 4.
    """
    check_positive("npo", beta=beta)
    average: Average = "token" if level == "token" else "sequence"
    forget = Term(Role.FORGET, npo_loss(beta, level), weight=parse_weight(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))


@register_method(
    "simnpo",
    paper="arXiv 2410.07163",
    when="As npo without a reference, and fair to answers of different length.",
)
def simnpo(
    beta: Annotated[float, Tunable(1.0, 10.0, log=True)] = 4.5,
    gamma: Annotated[float, Tunable(0.0, 2.0)] = 0.0,
    forget_weight: Weight = 0.125,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
) -> Objective:
    """SimNPO: −(2/β)·mean log σ(−β·log π/|y| − γ) on forget, + σ·retain; no reference (arXiv 2410.07163).

    |y| counts the answer's supervised tokens. open-unlearning's delta is γ/β. Defaults are the authors' for TOFU
    forget10: β 4.5, γ 0, forget weight 0.125.
    """
    check_positive("simnpo", beta=beta)
    check_not_negative("simnpo", gamma=gamma)
    loss = npo_loss(beta, "mean", reference=False, gamma=gamma)
    forget = Term(Role.FORGET, loss, weight=parse_weight(forget_weight), average="sequence")
    return Objective(forget, *retain_terms(retain, retain_weight))
