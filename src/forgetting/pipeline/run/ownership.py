"""Whose run folder it is: one recipe's, one set of data's, one process's at a time."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetting.benchmarks.suite import Suite
from forgetting.core.digest import examples_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import is_complete, write_text
from forgetting.pipeline.run.environment import environment
from forgetting.pipeline.run.prepare import StageData
from forgetting.recipe import Recipe
from forgetting.runs.redact import Redactor, known_redactor, redactor_of

MEASURED = "/measured"
"""Beside the stages, in the file of digests; no stage can have this name."""
REDACTED = "/redacted"
"""There too: which key the digests of a redacted run are by."""


def check_output(recipe: Recipe) -> None:
    """The folder must be new, hold this recipe, or hold one that never came to train."""
    file = recipe.folder / "recipe.yaml"
    if file.is_file() and _trained(recipe.folder) and file.read_text(encoding="utf-8") != recipe.to_yaml():
        raise RunError(f"{recipe.folder}: holds a run of another recipe; write another name=… or remove the folder")
    if not file.is_file() and recipe.folder.is_dir() and any(recipe.folder.iterdir()):
        raise RunError(f"{recipe.folder}: is not empty and not a run; write another name=… or output=…")


def _trained(folder: Path) -> bool:
    return (folder / "results.json").is_file() or any(is_complete(last) for last in folder.glob("stages/*/last"))


def _digests(data: dict[str, StageData], suite: Suite | None, redactor: Redactor | None) -> dict[str, dict[str, str]]:
    """What is trained on, by stage and role, and what is measured, by split; of a redacted run under its key."""
    if redactor is not None:
        plain = _digests(data, suite, None)
        keyed = {name: {part: redactor.hash("data", d) for part, d in parts.items()} for name, parts in plain.items()}
        return {**keyed, REDACTED: {"key": redactor.name}}
    found = {
        stage: {role: examples_digest(members) for role, members in d.examples.items()} for stage, d in data.items()
    }
    return found if suite is None else {**found, MEASURED: {s.name: examples_digest(s.examples) for s in suite.splits}}


def check_data(folder: Path, data: dict[str, StageData], suite: Suite | None = None) -> None:
    """A run that has trained goes on with the data it began with, or not at all; so it does with what it measures."""
    file = folder / "data.json"
    if not (file.is_file() and _trained(folder)):
        return
    began = json.loads(file.read_text())
    redactor = known_redactor(folder.parent) if REDACTED in began else None
    if REDACTED in began and (redactor is None or redactor.name != began[REDACTED]["key"]):
        return  # its key is gone, and with it what the digests say
    now = _digests(data, suite, redactor)
    for stage, parts in began.items():
        for part, began_with in parts.items():
            if stage in now and now[stage].get(part) != began_with:
                what = f"{part} split that it measures has" if stage == MEASURED else f"{part} data have"
                raise RunError(f"{folder}: its {what} changed since it began; put it back, or write another name=…")


@contextmanager
def locked(folder: Path, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """The folder, made if need be, for one process at a time.

    Args:
        wait: called before another process is waited for; None: it is an error that there is one.

    Raises:
        RunError: it cannot be written, or another process has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}); choose another output=…") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if wait is None:
                raise RunError(f"{folder}: another process is at work in this folder; wait for it to end") from None
            wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def owned(recipe: Recipe, data: dict[str, StageData], suite: Suite, device: str) -> Iterator[Redactor | None]:
    """The run folder, for one process at a time; what a run that never came to train left there is cleared.

    Gives the redactor of a run that is redacted.
    """
    folder = recipe.folder
    with locked(folder):
        if not _trained(folder):
            for left in ("evaluations", "records"):
                shutil.rmtree(folder / left, ignore_errors=True)
        write_text(folder / "recipe.yaml", recipe.to_yaml())
        redactor = redactor_of(folder.parent) if recipe.redact else None
        write_text(folder / "data.json", json.dumps(_digests(data, suite, redactor), indent=1))
        write_text(folder / "environment.json", json.dumps(environment(device), indent=1))
        yield redactor
    (folder / ".lock").unlink(missing_ok=True)
