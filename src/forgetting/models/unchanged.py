"""Checks that a model is unchanged: its weights, modes, adapters and hooks, and the random state of the process."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from forgetting.models.adapters.active import tuner_layers


@dataclass(frozen=True)
class Snapshot:
    """The state of a model that other code must leave unchanged.

    Weights are kept as digests of their bytes: 32 bytes per tensor, and one pass over the model to compute them.
    """

    facts: Mapping[str, object]
    """The state by its name in messages."""

    @classmethod
    def of(cls, model: nn.Module) -> Snapshot:
        """Takes the current state of the model and of random numbers."""
        return cls(dict(_facts(model)))

    def changed(self, model: nn.Module) -> str | None:
        """What differs now, in words (`the weight 'lm_head.weight'`); None: nothing."""
        now = dict(_facts(model))
        names = {**self.facts, **now}
        return next((name for name in names if self.facts.get(name) != now.get(name)), None)


def _facts(model: nn.Module) -> Iterator[tuple[str, object]]:
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        yield f"the weight '{name}'", _digest(tensor)
    for name, parameter in model.named_parameters():
        yield f"the gradient of '{name}'", None if parameter.grad is None else _digest(parameter.grad)
        yield f"whether '{name}' trains", parameter.requires_grad
    for name, module in model.named_modules():
        yield f"the mode of {_named(name)}", module.training
        yield f"the hooks of {_named(name)}", _hooks(module)
    yield "the active adapters", [list(layer.active_adapters) for layer in tuner_layers(model)]
    yield "the random state of torch", _bytes(torch.get_rng_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        yield "the random state of CUDA", [_bytes(state) for state in torch.cuda.get_rng_state_all()]
    yield "the random state of Python", random.getstate()
    kind, keys, *rest = np.random.get_state(legacy=True)
    yield "the random state of numpy", (kind, np.asarray(keys).tobytes(), *rest)


def _named(module: str) -> str:
    return f"'{module}'" if module else "the model"


def _hooks(module: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for kind in kinds)


def _digest(tensor: Tensor) -> bytes:
    return hashlib.sha256(_bytes(tensor)).digest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
