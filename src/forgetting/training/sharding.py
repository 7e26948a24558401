"""Weights sharded over the processes (FSDP), and gathered again.

Adapters have few weights, and may have another precision than the weights below them, so they are not sharded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from forgetting.core.processes import count
from forgetting.models.adapters import adapter_state, trainable_state
from forgetting.models.adapters.state import adapter_tensors
from forgetting.models.head import causal_model


def shard(step: nn.Module, model: nn.Module, device: torch.device) -> None:
    """Shards the weights of `model`, which `step` forwards, over the processes' devices: by layer, the rest together.

    Gradients come out summed over the processes, not averaged.
    """
    mesh = init_device_mesh(device.type, (count(),))
    inner = causal_model(model)
    names = set(inner._no_split_modules or ())
    whole = {p for p in adapter_tensors(model).values() if isinstance(p, nn.Parameter)}
    for module in (*(m for m in inner.modules() if type(m).__name__ in names), step):
        fully_shard(module, mesh=mesh, ignored_params=whole)
    for module in step.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered from the processes if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """The trained weights and all adapters, by their names in the model."""
    return {name: whole(tensor) for name, tensor in (trainable_state(model) | adapter_state(model)).items()}


def spread_weights(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Whole weights, each sharded like the model's weight of that name."""
    own = dict(model.named_parameters())
    return {name: spread(value, own.get(name)) for name, value in weights.items()}


def spread(value: Tensor, like: Tensor | None) -> Tensor:
    """The value, sharded like `like`; unchanged if that is whole or has another shape."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    there = value.to(like.device, like.dtype)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def whole_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """`state_dict()` as a single process would have it."""
    state = optimizer.state_dict()
    moments = {i: {k: whole(v) for k, v in own.items()} for i, own in state["state"].items()}
    return {**state, "state": moments}


def load_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], state: Mapping[str, Any]
) -> None:
    """Loads the output of `whole_optimizer`."""
    moments = {i: {k: spread(v, parameters[i]) for k, v in own.items()} for i, own in state["state"].items()}
    optimizer.load_state_dict({**state, "state": moments})
