"""Checkpoints that are whole or absent: written under another name, synced, marked complete, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from forgetting.core.errors import RunError

MARK = "COMPLETE"


@dataclass(frozen=True)
class Checkpoint:
    """What a stage goes on from."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    state: dict[str, Any]


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes `folder`'s place only when the block ends well and all is on disk.

    Raises:
        RunError: the disk refuses.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _sync(file)
        (partial / MARK).touch()
        _sync(partial)
        old = folder.with_name(f".{folder.name}.old")
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        partial.rename(folder)
        _sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_complete(folder: Path) -> bool:
    """Whether `folder` was written to its end."""
    return (folder / MARK).is_file()


def recover(folder: Path) -> bool:
    """Puts back what a kill between two renames left aside, and removes what was never finished.

    Returns whether something half-written was thrown away.
    """
    old, partial = (folder.with_name(f".{folder.name}.{kind}") for kind in ("old", "partial"))
    thrown_away = partial.exists() or (folder.exists() and not is_complete(folder))
    if folder.exists() and not is_complete(folder):
        shutil.rmtree(folder)
    if not folder.exists() and is_complete(old):
        old.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return thrown_away


def save_checkpoint(
    folder: Path, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any] | None, state: Mapping[str, Any]
) -> None:
    """Weights as safetensors, optimiser state for `weights_only` loading, the rest as JSON."""
    with written_whole(folder) as partial:
        save_file({n: t.detach().cpu().contiguous() for n, t in weights.items()}, str(partial / "weights.safetensors"))
        if optimizer is not None:
            torch.save(dict(optimizer), partial / "optimizer.pt")
        (partial / "state.json").write_text(json.dumps(dict(state), indent=1))


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in `folder`, or None if there is none that was written to its end."""
    if not is_complete(folder):
        return None
    try:
        optimizer_file = folder / "optimizer.pt"
        return Checkpoint(
            load_file(str(folder / "weights.safetensors")),
            torch.load(optimizer_file, weights_only=True) if optimizer_file.is_file() else {},
            json.loads((folder / "state.json").read_text()),
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{folder}: the checkpoint cannot be read ({error}); remove the folder to start the stage anew"
        ) from error
