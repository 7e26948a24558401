"""Whether a folder is new or holds the run that is asked for: the same recipe, and the data and model it began with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import PARTIAL
from forgetting.core.locks import LOCK
from forgetting.runs.began import REDACTED, Digests, check_digests, difference, hashed
from forgetting.runs.folder import RunFolder
from forgetting.runs.reading import RUN_AGAIN
from forgetting.runs.redact import known_redactor


def holds(folder: RunFolder, recipe: str, rewritten: Callable[[str], str] = lambda text: text) -> bool:
    """Whether the run in a folder is of this recipe; see `check_takes`."""
    return folder.is_run and not difference(folder.recipe_file, recipe, rewritten)


def check_takes(folder: RunFolder, recipe: str, rewritten: Callable[[str], str] = lambda text: text) -> None:
    """Checks that the folder is new, holds this recipe, or holds a run that never trained.

    A folder that was only begun, with nothing in it but a lock and half-written files, is new.

    Args:
        folder: of the run that is asked for.
        recipe: as YAML.
        rewritten: the YAML of a recipe as this version writes it; an earlier one may have left out a default.

    Raises:
        RunError: it holds something else; of another recipe, the first value that differs is named.
    """
    if folder.is_run:
        other = difference(folder.recipe_file, recipe, rewritten) if folder.has_trained else ""
        if other:
            raise RunError(
                f"{folder.path}: holds a run of another recipe: {other}; write another name=… or remove the folder"
            )
    elif folder.path.is_dir() and any(not is_left_over(path) for path in folder.path.iterdir()):
        if folder.settings_file.is_file():
            raise RunError(f"{folder.path}: holds an evaluation; write another name=… or output=…")
        if folder.has_trained:
            raise RunError(
                f"{folder.path}: its {folder.recipe_file.name} is missing; bring it back, or remove the folder to "
                "start the run again"
            )
        raise RunError(f"{folder.path}: is not empty and not a run; write another name=… or output=…")


def check_data(folder: RunFolder, now: Digests) -> None:
    """Checks that a run that has trained resumes with its original data and model.

    Raises:
        RunError: the training or measured data, or the model's weights, have changed.
    """
    if not folder.has_trained or not (began := folder.digests()):
        return
    if not began.keys() & now.keys():
        raise RunError(f"{folder.data_file}: holds not the digests of the data of this run; {RUN_AGAIN}")
    if REDACTED in began:
        redactor = known_redactor(folder.path.parent)
        if redactor is None or redactor.name != began[REDACTED]["key"]:
            return  # the digests cannot be compared without the key that they were hashed by
        now = hashed(now, redactor)
    check_digests(folder.path, began, now)


def is_left_over(path: Path) -> bool:
    """Whether it is a lock or a half-written file, which a run leaves that is killed in its first moments."""
    return path.name == LOCK or path.match(PARTIAL)
