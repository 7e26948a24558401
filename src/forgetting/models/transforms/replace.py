"""Puts another model's weights in."""

from __future__ import annotations

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters.export import merged
from forgetting.models.loading import load_model
from forgetting.models.quantised import has_quantised
from forgetting.models.transforms.misfits import misfits
from forgetting.models.transforms.registry import Transform, register_transform


@register_transform("replace", when="A model unlearned elsewhere should be measured and audited beside one's own runs.")
def replace(model: str = "") -> Transform:
    """θ ← the weights of another model of the same shape, made elsewhere: it is then measured and audited as a run's.

    Adapters of either are merged first. Weights are rounded once to the precision of the run's model. Configuration,
    tokenizer and prompt format stay the run's own, so the other model must have been made with the same tokenizer.

    Args:
        model: a folder or hub id.

    Raises:
        RecipeError: no model is named.
    """
    if not isinstance(model, str) or not model:
        raise RecipeError("replace: no model is named; write transform: {name: replace, model: FOLDER}")
    return Transform(lambda own, given: _replaced(own, model))


@torch.no_grad()
def _replaced(own: PreTrainedModel | PeftModel, name: str) -> PreTrainedModel:
    if has_quantised(own):
        raise ModelError("replace: weights in 4 bits cannot be replaced; load whole ones")
    whole = merged(own)
    other = merged(load_model(name).model)
    if misfit := misfits(whole, other):
        raise ModelError(
            f"{name}: its weights are not of the shape of the run's model ({len(misfit)} differ, first {misfit[0]}); "
            "name a model of the same architecture and size"
        )
    there = dict(other.named_parameters())
    for key, parameter in whole.named_parameters():
        parameter.copy_(there[key])
    return whole
