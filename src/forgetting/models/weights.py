"""Loads the weights of a causal language model from a folder or the hub, with one-line errors."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.foreign import check_kinds
from forgetting.models.places import attempt
from forgetting.models.precision import DTYPES
from forgetting.models.quantised import Quantise, has_quantised, quantised_loading, settle


def load_weights(
    name: str,
    dtype: str,
    revision: str | None = None,
    *,
    device: str | torch.device | None = None,
    quantise: Quantise | None = None,
) -> PreTrainedModel:
    """The model of a folder or hub id on `device` (None: the CPU), its matrices quantised if asked.

    Every weight is a finite number. `dtype` is one of `DTYPES`, `auto` as stored.

    For quantisation, each matrix is read, moved to the device and quantised in turn: the whole model is never there.

    Raises:
        ModelError: there is no such model, it is incomplete, or it cannot be quantised.
    """
    how = {} if quantise is None else quantised_loading(name, quantise, dtype, device)
    model, info = attempt(
        name,
        "model",
        AutoModelForCausalLM.from_pretrained,
        name,
        revision=revision,
        dtype=DTYPES[dtype] or "auto",
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **how,
    )
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers fills them with random numbers and only warns.
        raise ModelError(
            f"{name}: {len(missing)} weights are missing, the first is {missing[0]}; the folder is incomplete"
        )
    check_finite(model, name)
    if not has_quantised(model):
        check_kinds(sorted(Path(name).glob("*.safetensors")), (key for key, _ in model.named_parameters()))
    if quantise is not None or has_quantised(model):  # a folder may contain 4-bit weights, too
        settle(model, name)
    return model if device is None or quantise is not None else model.to(device)  # quantised, it is there already


@torch.no_grad()
def not_finite(model: nn.Module) -> list[str]:
    """The names of a model's weights that hold NaN or infinity, in the model's order."""
    return [
        name
        for name, weight in model.named_parameters()
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all())
    ]


def check_finite(model: nn.Module, name: str) -> None:
    """Checks the weights of a loaded model.

    Raises:
        ModelError: some are NaN or infinite; the first is named.
    """
    broken = not_finite(model)
    if broken:
        every = sum(1 for _ in model.parameters())
        raise ModelError(
            f"{name}: {len(broken)} of {every} weights hold NaN or infinity, the first is {broken[0]}; the model is "
            "damaged, give another or save it again"
        )
