"""Primal-dual unlearning: the retain loss is a constraint; its multiplier follows the violation."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import logit_margin
from forgetting.objectives.methods.common import Retain, check_not_negative, check_positive, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight, parse_weight
from forgetting.objectives.term_state import DualVariable


@register_method(
    "pdu",
    paper="arXiv 2506.05314",
    when="A bound of the retain loss is known, and its weight is not.",
)
def pdu(
    bound: Annotated[float, Tunable(0.03, 3.0, log=True)] = 0.3,
    dual: float = 1.0,
    dual_step: Annotated[float, Tunable(0.1, 10.0, log=True)] = 1.0,
    dual_warmup: float = 0.0,
    forget_weight: Weight = 1.0,
    retain: Retain = "nll",
    average: Average = "token",
) -> Objective:
    """PDU: λ·mean (max z − mean z)² on forget, subject to retain ≤ `bound`, by a dual variable (arXiv 2506.05314).

    A step descends λ·forget + dual·retain; afterwards dual ← max(0, dual + `dual_step`·(retain − `bound`)), with the
    retain loss of that step, once per optimiser step. The logits z are those that predict the answer's tokens.

    open-unlearning takes them one position later, at the answer's tokens themselves, updates the dual in every
    micro-batch, and does not save it. Its constant −dual·bound has no gradient and is not part of our logged loss.

    Args:
        bound: upper bound of the retain loss, nats per token. There is no good default; use about its initial value.
        dual: the initial dual, 1 as in open-unlearning.
        dual_step: step size of the dual.
        dual_warmup: share of the steps during which the dual is constant.

    Raises:
        RecipeError: a parameter out of range, or no retain loss.
    """
    check_positive("pdu", dual_step=dual_step)
    check_not_negative("pdu", bound=bound, dual=dual, dual_warmup=dual_warmup)
    if dual_warmup > 1:
        raise RecipeError(f"pdu: dual_warmup is {dual_warmup!r}; it is a share of the steps, at most 1")
    if retain == "none":
        raise RecipeError("pdu: retain is 'none'; the method needs a retain loss, such as nll")
    state = DualVariable(Role.RETAIN, dual, bound, dual_step, dual_warmup)
    forget = Term(Role.FORGET, logit_margin, parse_weight(forget_weight), average)
    (kept,) = retain_terms(retain, state.weight)
    return Objective(forget, replace(kept, state=state))
