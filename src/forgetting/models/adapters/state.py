"""The weights of a model in a checkpoint: the trainable ones, and all tensors of its adapters, trainable or not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from forgetting.core.errors import RunError


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """The trainable weights, by their name in the model; not copies. Tied weights appear once."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of adapters, also fixed ones (earlier stages', subtracted starts, CURLoRA's C and R); not copies."""
    return {name: tensor.detach() for name, tensor in adapter_tensors(model).items()}


@torch.no_grad()
def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads the output of `trainable_state` or `adapter_state` into a model of the same shape.

    Raises:
        RunError: a trainable weight, or one of an adapter, is not in `state`; or `state` has one that is not in this
            model, or has another shape.
    """
    own = dict(model.named_parameters()) | adapter_tensors(model)
    needed = trainable_state(model) | adapter_state(model)
    missing = [name for name in needed if name not in state]
    alien = [name for name, value in state.items() if name not in own or own[name].shape != value.shape]
    if missing or alien:
        what = f"lacks {missing[0]}" if missing else f"has {alien[0]}, which is not in this model or has another shape"
        raise RunError(f"the saved weights belong to another adapter: the checkpoint {what}; start the stage again")
    for name, value in state.items():
        own[name].copy_(value)


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of a model's adapters, by name: parameters, and buffers, which never train."""
    inside: set[int] = set()
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            for kind in layer.adapter_layer_names:
                inside |= {id(tensor) for tensor in getattr(layer, kind).state_dict(keep_vars=True).values()}
    named = chain(model.named_parameters(), model.named_buffers())
    return {name: tensor for name, tensor in named if id(tensor) in inside}
