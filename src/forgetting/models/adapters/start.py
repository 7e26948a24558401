"""Initialises a new LoRA adapter; a second, frozen adapter subtracts the initial value."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft import PeftModel
from torch import Tensor

from forgetting.models.adapters.initialisation import Initialisation
from forgetting.models.adapters.lora import add_lora, effective_weight, lora_layers, train_only


def start_name(name: str) -> str:
    """The name of the frozen adapter −B₀A₀ that belongs to the trainable adapter `name`."""
    return f"{name}-start"


def add_start(model: PeftModel, name: str) -> None:
    """Adds the frozen adapter that belongs to `name`, without dropout and still without effect; only `name` trains."""
    config = model.peft_config[name]
    add_lora(
        model,
        name=start_name(name),
        rank=config.r,
        alpha=config.lora_alpha,
        targets=tuple(lora_layers(model, name)),
        seed=0,
    )
    train_only(model, name)


@torch.no_grad()
def initialise(
    model: PeftModel, name: str, initialisation: Initialisation, prepared: Mapping[str, Tensor], *, seed: int
) -> None:
    """Initialises the new LoRA adapter `name` with B₀A₀ and, if the initialisation says so, the frozen one with −B₀A₀.

    Args:
        prepared: the results of the initialisation's data pass, by module.

    Raises:
        ModelError: a prepared tensor does not fit its module.
    """
    if initialisation.subtract:
        add_start(model, name)
    if type(initialisation).start is Initialisation.start:
        return  # it keeps PEFT's initialisation of every matrix; no weight needs to be formed
    for module, layer in lora_layers(model, name).items():
        # The adapter still has B = 0, so the effective weight is that of the stages before.
        start = initialisation.start(
            module,
            effective_weight(layer),
            prepared.get(module),
            rank=layer.r[name],
            scaling=layer.scaling[name],
            seed=seed,
        )
        if start is None:
            continue
        for adapter, sign in ((name, 1.0), (start_name(name), -1.0))[: 1 + initialisation.subtract]:
            layer.lora_B[adapter].weight.copy_(sign * start.b)
            layer.lora_A[adapter].weight.copy_(start.a)
