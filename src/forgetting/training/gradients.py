"""The gradients of a stage's parameters as one vector, whole or spread over the processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from forgetting.core.processes import rank
from forgetting.objectives.gradient_rules.rule import Change, Gradient, Tensors
from forgetting.training.processes import sums
from forgetting.training.sharding import spread, whole

_AT_ONCE = 2**24
"""Numbers that an inner product converts to float64 at a time."""


def take(parameters: Sequence[nn.Parameter]) -> Gradient:
    """Takes the parameters' gradients; their `.grad` is None afterwards."""
    taken = tuple(p.grad for p in parameters)
    for parameter in parameters:
        parameter.grad = None
    return Gradient(taken, inner, each)


def put(parameters: Sequence[nn.Parameter], gradient: Gradient) -> None:
    """Sets the parameters' gradients to `gradient`."""
    for parameter, tensor in zip(parameters, gradient.tensors, strict=True):
        parameter.grad = tensor


@contextmanager
def displaced(parameters: Sequence[nn.Parameter], by: Gradient) -> Iterator[None]:
    """The parameters moved by `by`, and restored to the bit afterwards."""
    moved = [(p, t, p.detach().clone()) for p, t in zip(parameters, by.tensors, strict=True) if t is not None]
    with torch.no_grad():
        for parameter, step, _ in moved:
            parameter.add_(step)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, _, before in moved:
                parameter.copy_(before)


def each(tensors: Tensors, change: Change) -> Tensors:
    """Each tensor that there is, changed by itself; a sharded one is gathered for that and sharded again."""
    return tuple(None if t is None else spread(change(i, whole(t)), t) for i, t in enumerate(tensors))


@torch.no_grad()
def inner(a: Tensors, b: Tensors) -> float:
    """Σ a·b in float64: the same in all processes, each of which adds its part of what is sharded."""
    products = [
        _dot(_local(x), _local(y))
        for x, y in zip(a, b, strict=True)
        if x is not None and y is not None and (isinstance(x, DTensor) or rank() == 0)
    ]
    return sums([torch.stack(products).sum().item() if products else 0.0])[0]


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _dot(x: Tensor, y: Tensor) -> Tensor:
    pieces = zip(x.reshape(-1).split(_AT_ONCE), y.reshape(-1).split(_AT_ONCE), strict=True)
    return torch.stack([torch.dot(p.double(), q.double()) for p, q in pieces]).sum()


def whole_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A gradient rule's state as a single process would have it: a tensor per parameter, or plain numbers, by name."""
    return {
        name: tuple(None if t is None else whole(t) for t in value) if isinstance(value, tuple) else value
        for name, value in state.items()
    }


def spread_state(state: Mapping[str, Any], parameters: Sequence[nn.Parameter]) -> dict[str, Any]:
    """The output of `whole_state` on the parameters' devices, sharded like the parameters."""
    return {
        name: tuple(None if t is None else spread(t.to(p.device), p) for t, p in zip(value, parameters, strict=True))
        if isinstance(value, tuple)
        else value
        for name, value in state.items()
    }
