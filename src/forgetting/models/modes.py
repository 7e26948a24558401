"""Training and evaluation mode, put back as they were: module by module, for they need not be alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Whatever mode the model is put into inside, every module has its own again afterwards."""
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
