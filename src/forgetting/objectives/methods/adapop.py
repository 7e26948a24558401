"""Gradient ascent with tokens weighted by the popularity of their facts, and a retain weight that adapts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.core.tunable import Tunable
from forgetting.objectives.losses import ByPopularity, weighted_nll
from forgetting.objectives.methods.common import check_not_negative, check_positive, negative, retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term
from forgetting.objectives.schedule import Weight
from forgetting.objectives.term_state import DriftDual


@register_method(
    "adapop",
    paper="github.com/Anya-wUw/open-unlearning",
    when="Facts of known, very different popularity, such as rare and popular ones together.",
)
def adapop(
    a: Annotated[float, Tunable(1.0, 200.0, log=True)] = 58.7,
    b: Annotated[float, Tunable(0.2, 1.5)] = 0.796,
    lowest: float = 0.05,
    highest: float = 2.0,
    retain_start: Annotated[float, Tunable(0.1, 10.0, log=True)] = 0.5,
    tolerance: float = 0.1,
    dual_step: float = 0.1,
    dual_most: float = 5.0,
    period: float = 0.2,
    forget_weight: Weight = 1.0,
    average: Average = "token",
) -> Objective:
    """AdaPop: −λ·mean(p^β_i·nll) on forget, β_i = clip(a·s_i^−b, 0.05, 2), + (0.5 + dual)·nll(retain).

    From the readme of Anya-wUw/open-unlearning (Borisiuk 2026); no paper or trainer of it was read. s_i is the
    popularity of example i (the column `popularity`; DUET's is Wikidata's sum of sitelinks, to which a and b belong);
    the forget term is `wga` with β by example. So a rare fact is left alone once it is unlikely, and a popular one is
    pushed on. The dual follows the rise of the retain loss over its first period: see `DriftDual`.

    Their period is an epoch, of five: here a share of the steps. What the rise is relative to is not said there; it is
    taken to be the mean of the first period, so the dual first moves after the second. A sentence of it names the
    forget loss as the feedback; its formula has the retain loss, which is followed.

    Raises:
        RecipeError: a parameter out of range.
    """
    check_positive("adapop", a=a, highest=highest, dual_step=dual_step, period=period)
    check_not_negative(
        "adapop", b=b, lowest=lowest, retain_start=retain_start, tolerance=tolerance, dual_most=dual_most
    )
    if lowest > highest:
        raise RecipeError(f"adapop: lowest is {lowest!r}, above highest ({highest!r}); exchange them")
    if period > 1:
        raise RecipeError(f"adapop: period is {period!r}; it is a share of the steps, at most 1")
    loss = weighted_nll(ByPopularity(a, b, lowest, highest))
    state = DriftDual(Role.RETAIN, retain_start, tolerance, dual_step, dual_most, period)
    (kept,) = retain_terms("nll", state.weight)
    forget = Term(Role.FORGET, loss, weight=negative(forget_weight), average=average)
    return Objective(forget, replace(kept, state=state))
