"""Token-level NPO with tokens weighted by the model's confidence in them as well."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import weighted_nll
from forgetting.objectives.methods.common import (
    Retain,
    RetainWeight,
    check_not_negative,
    check_positive,
    negative,
    retain_terms,
)
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight


@register_method(
    "wtnpo",
    paper="arXiv 2502.19301",
    when="As npo token by token, but it leaves alone what is already forgotten.",
)
def wtnpo(
    alpha: Annotated[float, Tunable(0.1, 5.0, log=True)] = 1.0,
    beta: Annotated[float, Tunable(0.03, 3.0, log=True)] = 0.1,
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
    average: Average = "token",
) -> Objective:
    """WTNPO: −λ·mean([2·p^(α+β)/(p^β + p_ref^β)]·nll) on forget, + σ·retain; the bracket as for WGA (arXiv 2502.19301).

    The bracket is that of TNPO (`npo` with `level: token`, α 0) times that of WGA (α, β 0). The released code adds 1e-5
    to the denominator, which is left out here. It has β 0.1 and no retain term (`retain: none`); α it takes from its
    command line, and 1 is chosen here, WGA's.
    """
    check_positive("wtnpo", beta=beta)
    check_not_negative("wtnpo", alpha=alpha)
    loss = weighted_nll(alpha, ratio=beta)
    forget = Term(Role.FORGET, loss, weight=negative(forget_weight), average=average)
    return Objective(forget, *retain_terms(retain, retain_weight))
