"""The device of a model."""

from __future__ import annotations

import torch

from forgetting.core.errors import RecipeError


def _is_here(kind: str) -> bool:
    """Whether this torch finds an accelerator of the kind (mps, xpu, …)."""
    module = getattr(torch, kind, None) or getattr(torch.backends, kind, None)
    return bool(getattr(module, "is_available", lambda: False)())


def device_named(name: str | None) -> str:
    """The named device; without a name, an accelerator if there is one.

    Raises:
        RecipeError: it is not a device, or not in this machine.
    """
    if name is not None:
        try:
            kind = torch.device(name).type
        except RuntimeError as error:
            raise RecipeError(f"device: '{name}' is not a device; write cpu, cuda or cuda:1") from error
        if kind not in ("cpu", "cuda") and not _is_here(kind):
            raise RecipeError(f"device: '{name}', but this torch finds no such device; leave it out")
        if torch.device(name).index not in (None, *range(torch.cuda.device_count() if kind == "cuda" else 1)):
            raise RecipeError(f"device: '{name}': there is no device of this number; leave the number out")
        if kind == "cuda" and not torch.cuda.is_available():
            raise RecipeError(f"device: '{name}', but this torch finds no CUDA device; leave it out")
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
