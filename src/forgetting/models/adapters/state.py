"""What a checkpoint keeps of a model: the weights that train, and all that its adapters hold, trainable or not."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from forgetting.core.errors import RunError


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights that train, by their name in the model; not copies. A weight that is tied to another stands once."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """What adapters hold, trainable or fixed (earlier stages', subtracted starts, CURLoRA's C and R); not copies."""
    return {name: tensor.detach() for name, tensor in adapter_tensors(model).items()}


@torch.no_grad()
def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts back what `trainable_state` or `adapter_state` gave into a model of the same shape.

    Raises:
        RunError: a weight that trains, or one of an adapter, is not in `state`; or `state` has one that this model has
            not, or has in another shape.
    """
    own = dict(model.named_parameters()) | adapter_tensors(model)
    needed = trainable_state(model) | adapter_state(model)
    missing = [name for name in needed if name not in state]
    alien = [name for name, value in state.items() if name not in own or own[name].shape != value.shape]
    if missing or alien:
        what = f"lacks {missing[0]}" if missing else f"has {alien[0]}, which is not in this model or has another shape"
        raise RunError(f"the saved weights are of another adapter: the checkpoint {what}; start the stage anew")
    for name, value in state.items():
        own[name].copy_(value)


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """What the adapters of a model hold, by name: parameters, and buffers, which never train."""
    inside: set[int] = set()
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            for kind in layer.adapter_layer_names:
                inside |= {id(tensor) for tensor in getattr(layer, kind).state_dict(keep_vars=True).values()}
    named = chain(model.named_parameters(), model.named_buffers())
    return {name: tensor for name, tensor in named if id(tensor) in inside}
