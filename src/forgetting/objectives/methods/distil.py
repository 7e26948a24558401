"""Distillation: trains the model towards another model's distributions, on data to keep."""

from __future__ import annotations

from typing import Literal

from forgetting.objectives.methods.common import retain_terms
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Objective

Towards = Literal["kl_from_reference", "kl_to_reference", "js_to_reference"]


@register_method(
    "distil",
    paper="arXiv 2506.06278",
    when="After noise: brings back what another model does on data to keep.",
)
def distil(loss: Towards = "kl_from_reference") -> Objective:
    """Distillation: +KL(p_ref ‖ p)(retain), averaged over supervised tokens.

    The reference is the stage's: write `reference: stage:NAME` or a model. After `transform: noise`, with the
    unlearned model as reference, it is the last step of UNDO (arXiv 2506.06278), whose temperature is 1.
    """
    return Objective(*retain_terms(loss, 1.0))
