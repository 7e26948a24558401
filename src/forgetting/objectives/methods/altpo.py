"""Alternate preference optimisation: prefers plausible other answers, made by the model itself."""

from __future__ import annotations

from typing import Annotated

from forgetting.core.tunable import Tunable
from forgetting.objectives.methods.common import Retain, RetainWeight
from forgetting.objectives.methods.dpo import dpo
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Objective
from forgetting.objectives.schedule import Weight


@register_method(
    "altpo",
    paper="arXiv 2409.13474",
    when="Questions for which the model should give another plausible answer instead of none.",
)
def altpo(
    beta: Annotated[float, Tunable(0.03, 1.0, log=True)] = 0.1,
    forget_weight: Weight = 1.0,
    retain_weight: RetainWeight = 1.0,
    retain: Retain = "nll",
) -> Objective:
    """AltPO: −(2/β)·mean log σ(β·(Δ_alternate − Δ_forget)), Δ = log(π/π_ref), + σ·retain (arXiv 2409.13474).

    DPO with NPO's factor 2/β, and with alternates that the model itself writes before it unlearns: plausible answers
    to the same question, not refusals. `forget derive FORGET --alternates 5` has it write them; of several to a
    question, each is used in its turn, an epoch each.

    open-unlearning searches β in 0.05, 0.1 and 0.5 and the retain weight in 1, 2 and 5.
    """
    return dpo(beta, "open_unlearning", forget_weight, retain_weight, retain)
