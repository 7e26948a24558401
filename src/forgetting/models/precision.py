"""The precision that a model is loaded in: as asked, or by one rule that every command follows; with the reason."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from forgetting.core.errors import ModelError, nearest
from forgetting.models.places import attempt

DTYPES: dict[str, torch.dtype | None] = {
    "auto": None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
"""What a recipe may ask for; `auto`: see `settled`."""
_KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""The types of numbers in a file of safetensors."""
_UNITS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16", "fp16", "fp16_arith"),
}
"""torch's names of the instructions that multiply numbers of 16 bits on a processor."""


@dataclass(frozen=True, slots=True)
class Precision:
    """A precision and why it was taken."""

    dtype: str
    """A key of `DTYPES`, never `auto`."""
    why: str
    stored: str | None = None
    """The precision that the weights are stored in."""

    def __str__(self) -> str:
        return f"precision: {self.dtype} ({self.why})"


def settled(
    asked: str, stored: torch.dtype | None, *, device: str | torch.device | None = None, trains_all: bool = False
) -> Precision:
    """The precision to load weights in.

    `auto` is as they are stored, but fp32 if all weights are trained, whose small steps 16 bits round away (a bf16
    weight moves by 1/256 of its size or not at all), and if the device would compute in 16 bits much more slowly.

    Args:
        asked: a key of `DTYPES`.
        stored: how the weights are stored; None: not known, and taken for fp32.
        device: where they will be; None: the CPU.
        trains_all: whether a stage trains all weights.

    Raises:
        ModelError: a precision of another name.
    """
    if asked not in DTYPES:
        raise ModelError(f"dtype '{asked}' is not known; {nearest(asked, DTYPES)}")
    own = stored or torch.float32
    name = str(own).removeprefix("torch.")
    there = None if stored is None else name
    if asked != "auto":
        lossy = trains_all and asked in ("bfloat16", "float16")
        loss = "; all weights train, and their small steps are lost: write dtype: float32" if lossy else ""
        return Precision(asked, f"as asked{loss}", there)
    if name not in DTYPES:
        raise ModelError(f"the weights are stored in {name}, which is not computed in; write dtype: float32")
    if own not in _UNITS:
        return Precision(name, "as stored", there)
    if trains_all:
        return Precision("float32", f"stored in {name}, which would lose small steps of training all weights", there)
    if not _has_units(own, torch.device(device or "cpu")):
        return Precision("float32", f"stored in {name}, which this device computes slowly", there)
    return Precision(name, "as stored", there)


def stored_dtype(name: str, revision: str | None = None) -> torch.dtype | None:
    """The precision in which a folder or hub id says that its weights are stored; None if it does not say.

    Raises:
        ModelError: its config cannot be read, or names something else than a precision.
    """
    config: Any = attempt(name, "model", AutoConfig.from_pretrained, name, revision=revision, trust_remote_code=False)
    said = config.dtype or config.get_text_config(decoder=True).dtype or _of_weights(name)
    found = getattr(torch, said, None) if isinstance(said, str) else said
    if said is not None and not isinstance(found, torch.dtype):
        raise ModelError(f"{name}/config.json: the dtype is {said!r}; write the one that the weights are stored in")
    return found


def _of_weights(name: str) -> str | None:
    """The type of the first weights in a folder's files."""
    for file in sorted(Path(name).glob("*.safetensors")) if Path(name).is_dir() else ():
        with suppress(OSError, SafetensorError), safe_open(str(file), framework="pt") as tensors:
            kinds = (tensors.get_slice(key).get_dtype() for key in tensors.keys())  # noqa: SIM118
            return next((_KINDS[kind] for kind in kinds if kind in _KINDS), None)
    return None


def dtype_name(model: torch.nn.Module) -> str:
    """The name of a loaded model's precision."""
    return str(model.dtype).removeprefix("torch.")


def _has_units(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a device multiplies numbers of this type as such; True where torch cannot tell."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.10
        known = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
        return dtype != torch.bfloat16 or bool(known())
    able = torch.cpu.get_capabilities()
    return any(able.get(unit) for unit in _UNITS[dtype])
