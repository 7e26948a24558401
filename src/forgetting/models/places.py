"""Where a model is: a folder, or the hub's; a name that is nowhere is an error at once, before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import is_offline_mode, model_info, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from forgetting.core.errors import ModelError, nearest
from forgetting.core.folder import damage, is_complete, mark_of
from forgetting.runs.not_a_run import of_runs
from forgetting.runs.paths import RunPaths

_PATIENCE = 10.0
"""Seconds that the hub has for its first answer. Its client would try again for more than a minute."""
_CONFIGS = ("config.json", "adapter_config.json")


def check_place(name: str, revision: str | None = None) -> None:
    """Checks that a name is a model's: a folder that holds one, or a name that the hub or its cache knows.

    Raises:
        ModelError: a folder without a model, a file, a path that does not exist, or a name that is found nowhere.
    """
    path = Path(name)
    if len(os.fsencode(name)) > 4096 or any(len(os.fsencode(part)) > 255 for part in path.parts) or "\0" in name:
        raise ModelError(f"{name}: no file system has such a name; give a model folder or a hub id")
    if path.is_dir():
        _check_folder(path)
        return
    if path.is_file():
        raise ModelError(f"{name}: a file, not a model folder; give the folder that it is in")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not name:
        raise ModelError(f"{name}: no such model folder; {sibling(path)}")
    why = _not_on_the_hub(name, revision)
    if why is not None:
        raise ModelError(f"{name}: no such folder, and not available from the hub ({why}); {sibling(path)}")


def check_as_written(folder: str | Path, *, read: bool = True) -> None:
    """Checks a folder that was written by this library against the digests of its files; other folders pass.

    Args:
        folder: of a model.
        read: whether the files are read; otherwise it is only checked that they are there.

    Raises:
        ModelError: a file is missing or was changed.
    """
    path = Path(folder)
    if is_complete(path) and (why := damage(path, read=read)):
        raise ModelError(f"{why}; bring it back, or remove {mark_of(path).name} there if you changed it yourself")


def _check_folder(path: Path) -> None:
    """Checks that a folder holds a model, and says what it is instead."""
    run = RunPaths(path)
    if any((path / file).is_file() for file in _CONFIGS):
        if any(path.glob("*.safetensors")):
            return
        check_as_written(path)
        raise ModelError(f"{path}: no *.safetensors in this folder; pickled weights are not read, convert them first")
    check_as_written(path)
    if run.model.is_dir() and (run.is_run or run.is_finished):
        said = "is a run's folder" if run.is_run else f"its {run.recipe_file.name} is missing; bring it back, or"
        raise ModelError(f"{path}: {said}{';' if run.is_run else ''} name its model, {run.model}")
    if run.is_run:
        raise ModelError(f"{path}: the run has no model yet; finish it with forget run {run.recipe_file}")
    if said := of_runs(path):
        raise ModelError(f"{path}: {said}")
    raise ModelError(f"{path}: no config.json in this folder; give a folder that holds a model")


def _not_on_the_hub(name: str, revision: str | None) -> str | None:
    """Why the hub does not give a model; None if its files are here, or the hub has one of that name."""
    try:
        if any(isinstance(try_to_load_from_cache(name, file, revision=revision), str) for file in _CONFIGS):
            return None
    except ValueError:
        return "not a name that the hub accepts"
    if is_offline_mode():
        return "it is not asked, and nothing of that name was loaded before"
    try:
        model_info(name, revision=revision, timeout=_PATIENCE)  # with the user's token, for a private model
    except GatedRepoError:
        return None  # its client says how to ask for access
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return "it has no model of that name and revision that can be seen from here"
    except Exception as error:  # its client does not wrap the errors of its HTTP library
        return f"it cannot be reached: {' '.join(str(error).split())[:100] or type(error).__name__}"
    return None


def attempt(name: str, what: str, load: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Calls a loader of transformers or PEFT; any exception inside becomes one line that names the model.

    Raises:
        ModelError: the loader raised; of a folder that this library wrote, what is missing or damaged in it.
    """
    try:
        return load(*arguments, **keywords)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(" :.")
        if Path(name).is_dir():
            check_as_written(name)
            raise ModelError(f"{name}: the {what} cannot be loaded: {reason}") from error
        raise ModelError(
            f"{name}: no such folder, and not available from the hub ({reason}); {sibling(Path(name))}"
        ) from error


def sibling(path: Path) -> str:
    """A hint about a missing folder: its nearest neighbour, if there is one."""
    siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
    hint = nearest(path.name, siblings)
    return hint if hint.startswith("did") else "give a folder with config.json, or a hub id such as org/name"
