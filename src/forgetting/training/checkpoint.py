"""Checkpoints of a stage: weights, optimiser and the rest of the state that a resume needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from forgetting.core.errors import RunError
from forgetting.core.folder import damage, is_complete, written_whole
from forgetting.core.text import said


@dataclass(frozen=True)
class Checkpoint:
    """The state that a stage resumes from."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    state: dict[str, Any]


def save_checkpoint(
    folder: Path, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any] | None, state: Mapping[str, Any]
) -> None:
    """Weights as safetensors, optimiser state for `weights_only` loading, the rest as JSON.

    Raises:
        RunError: the disk cannot be written.
    """
    whole = {n: t.detach().cpu().contiguous() for n, t in weights.items()}
    try:
        with written_whole(folder) as partial:
            save_file(whole, str(partial / "weights.safetensors"))
            if optimizer is not None:
                torch.save(dict(optimizer), partial / "optimizer.pt")
            (partial / "state.json").write_text(json.dumps(dict(state), indent=1))
    except RuntimeError as error:  # of the optimiser's writer on a full disk
        raise RunError(f"{folder}: cannot be written ({error}); free space or choose another output") from error


def keep_proven(last: Path, proven: Path) -> None:
    """Keeps the weights of the checkpoint `last` as `proven`, the fallback; hard links, so it takes no extra disk."""
    if is_complete(last):
        with written_whole(proven) as partial:
            for name in ("weights.safetensors", "state.json"):
                os.link(last / name, partial / name)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in `folder`, or None if there is no complete one.

    Raises:
        RunError: a file of it is missing or damaged.
    """
    if not is_complete(folder):
        return None
    why = damage(folder)
    if why:
        raise RunError(f"{why}; bring it back, or remove the stage's folder to train the stage again")
    try:
        optimizer_file = folder / "optimizer.pt"
        return Checkpoint(
            load_file(str(folder / "weights.safetensors")),
            torch.load(optimizer_file, weights_only=True) if optimizer_file.is_file() else {},
            _read_state(folder),
        )
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError, UnpicklingError) as error:
        raise RunError(
            f"{folder}: the checkpoint cannot be read ({said(error)}); remove the folder to start the stage again"
        ) from error


def state_of(folder: Path) -> dict[str, Any] | None:
    """The state in the checkpoint in `folder` without its weights; None if there is none that can be read."""
    try:
        return _read_state(folder) if is_complete(folder) else None
    except (OSError, ValueError):
        return None


def _read_state(folder: Path) -> dict[str, Any]:
    state = json.loads((folder / "state.json").read_text())
    if not isinstance(state, dict):
        raise ValueError(f"state.json holds a {type(state).__name__}")
    return state
