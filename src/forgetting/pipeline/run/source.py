"""Where a model is that a user names: a suite's own, a finished run's, a folder, or the hub."""

from __future__ import annotations

from pathlib import Path

from forgetting.benchmarks.registry import shipped_models
from forgetting.core.errors import RunError


def is_run(name: str | Path) -> bool:
    """Whether a folder holds a run."""
    return (Path(name) / "recipe.yaml").is_file()


def model_source(name: str) -> str:
    """The folder or hub id of a model; of a run, the model that it ended with.

    Raises:
        RunError: a run that has no model yet.
    """
    shipped = shipped_models().get(name)
    if shipped is not None:
        return str(shipped)
    if not is_run(name):
        return name
    folder = Path(name)
    if not (folder / "model").is_dir():
        raise RunError(f"{folder}: the run has no model yet; finish it with forget run {folder / 'recipe.yaml'}")
    return str(folder / "model")
