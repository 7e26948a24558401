"""Training and evaluation mode, restored module by module, since modules may differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """A context that restores the mode of every module afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model without dropout."""
    with modes_kept(model):
        model.eval()
        yield
