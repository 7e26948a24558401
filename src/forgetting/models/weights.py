"""Loads the weights of a causal language model from a folder or the hub, with one-line errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from forgetting.core.errors import ModelError, nearest
from forgetting.core.folder import MARK, damage, is_complete
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


def check_as_written(folder: str | Path) -> None:
    """Checks a folder that was written by this library against the digests of its files; other folders pass.

    Raises:
        ModelError: a file is missing or was changed.
    """
    path = Path(folder)
    if is_complete(path) and (why := damage(path)):
        raise ModelError(f"{why}; bring it back, or remove {MARK} there if you changed it yourself")


def attempt(name: str, what: str, load: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Calls a loader of transformers or PEFT; any exception inside becomes one line that names the model."""
    try:
        return load(*arguments, **keywords)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(" :.")
        if Path(name).is_dir():
            raise ModelError(f"{name}: the {what} cannot be loaded: {reason}") from error
        raise ModelError(
            f"{name}: no such folder, and not available from the hub ({reason}); {sibling(Path(name))}"
        ) from error


def sibling(path: Path) -> str:
    """A hint about a missing folder: its nearest neighbour, if there is one."""
    siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    hint = nearest(path.name, siblings)
    return hint if hint.startswith("did") else "give a folder with config.json, or a hub id such as org/name"
