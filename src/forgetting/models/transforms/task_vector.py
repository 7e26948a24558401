"""Subtracts what a model was taught: task arithmetic."""

from __future__ import annotations

import math

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters.export import merged
from forgetting.models.transforms.misfits import misfits
from forgetting.models.transforms.registry import Given, Transform, register_transform


@register_transform(
    "task_vector",
    paper="arXiv 2212.04089",
    when="A baseline without a retain set: the model is first taught the forget set, then that is subtracted.",
)
def task_vector(alpha: float = 1.0) -> Transform:
    """Task vector, negated: θ ← θ_ref − α·(θ − θ_ref), where θ was taught the forget set (arXiv 2212.04089).

    θ is the model of the stage before, which trains on the forget set as `train` data (`lab-task-vector` shows it);
    θ_ref is the stage's `reference`: `start` (the model the run began with, the default), `stage:NAME`, or a model.
    All parameters take part, active adapters are merged first, and a weight that is tied is changed once. Computed in
    fp32 (float64 stays) and rounded once to the parameter's precision.

    Args:
        alpha: how often the difference is subtracted. 0 gives θ_ref; the paper's −λ. Searched from 0 to 1 there.

    Raises:
        RecipeError: α is not a finite number.
    """
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise RecipeError(f"task_vector: alpha is {alpha!r}; it must be a number")
    return Transform(lambda model, given: _negated(model, given, alpha), needs_reference=True, unlearns=True)


@torch.no_grad()
def _negated(model: PreTrainedModel | PeftModel, given: Given, alpha: float) -> PreTrainedModel:
    if given.reference is None:
        raise ModelError("task_vector: no reference was given; the stage's key `reference` names it")
    taught, before = merged(model), merged(given.reference)
    if apart := misfits(taught, before):
        raise ModelError(
            f"task_vector: the reference has other weights than the model, first {apart[0]}; give the model that the "
            "stage before started from"
        )
    there = dict(before.named_parameters())
    for name, parameter in taught.named_parameters():
        parameter.copy_(away_from(parameter, there[name].to(parameter.device), alpha))
    return taught


def away_from(taught: Tensor, before: Tensor, alpha: float) -> Tensor:
    """θ_ref − α·(θ − θ_ref), in fp32 (float64 stays)."""
    exact = before if before.dtype == torch.float64 else before.float()
    return exact - alpha * (taught.to(exact.dtype) - exact)
