"""Which adapters of a model are active, and a view with only some of them, such as the model before a stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from forgetting.core.errors import ModelError, nearest


def tuner_layers(model: nn.Module) -> list[BaseTunerLayer]:
    """PEFT's layers of a model; empty for a plain one."""
    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


def active_adapters(model: nn.Module) -> tuple[str, ...]:
    """The names of the adapters used in the forward pass, in the order in which they were added."""
    names = dict.fromkeys(name for layer in tuner_layers(model) for name in layer.active_adapters)
    return tuple(names)


def activate(model: nn.Module, names: Sequence[str]) -> None:
    """Activates exactly the adapters `names` for the forward pass.

    PEFT's own `set_adapter` would also make them trainable and freeze the rest; here `requires_grad` is unchanged.
    """
    for layer in tuner_layers(model):
        layer._active_adapter = list(names)


def known_adapters(model: nn.Module, names: Sequence[str]) -> set[str]:
    """The names of all the model's adapters.

    Raises:
        ModelError: one of `names` is not among them.
    """
    known = set(model.peft_config) if isinstance(model, PeftModel) else set()
    for name in names:
        if name not in known:
            raise ModelError(f"the model has no adapter '{name}'; {nearest(name, known)}")
    return known


@contextmanager
def adapters_active(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """A context in which exactly the adapters `names` are active; afterwards, those that were active before.

    `names = ()` is the plain base. `requires_grad`, the model's mode and the weights are unchanged.

    Raises:
        ModelError: the model has no adapter of that name.
    """
    known_adapters(model, names)
    before = [(layer, layer._active_adapter) for layer in tuner_layers(model)]
    try:
        activate(model, names)
        yield
    finally:
        for layer, active in before:
            layer._active_adapter = active
