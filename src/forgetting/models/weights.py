"""Loads the weights of a causal language model from a folder or the hub, with one-line errors."""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.places import attempt
from forgetting.models.quantised import Quantise, has_quantised, quantised_loading, settle

DTYPES: dict[str, str | torch.dtype] = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def load_weights(
    name: str,
    dtype: str,
    revision: str | None = None,
    *,
    device: str | torch.device | None = None,
    quantise: Quantise | None = None,
) -> PreTrainedModel:
    """The model of a folder or hub id on `device` (None: the CPU), its matrices quantised if asked.

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
        dtype=DTYPES[dtype],
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
    if quantise is not None or has_quantised(model):  # a folder may contain 4-bit weights, too
        settle(model, name)
    return model if device is None or quantise is not None else model.to(device)  # quantised, it is there already
