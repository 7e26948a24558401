"""Locates a model by name: a suite's own, a finished run's, a folder, or the hub."""

from __future__ import annotations

from pathlib import Path

from forgetting.benchmarks.registry import shipped_models
from forgetting.core.errors import RunError
from forgetting.models.adapters import is_adapter
from forgetting.recipe import Recipe, load_recipe
from forgetting.runs.folder import RunFolder
from forgetting.runs.paths import RunPaths, StagePaths


def is_run(name: str | Path) -> bool:
    """Whether a folder holds a run."""
    return RunPaths(Path(name)).is_run


def made_by(path: Path) -> tuple[Path, str | None] | None:
    """The folder of the run that made a model, and the stage after which it was; None if no run did.

    Args:
        path: the run's folder, its model or merged model (no stage: they are its last), or the model after a stage.
    """
    if is_run(path):
        return path, None
    whole = path.absolute()
    above, stage = whole.parent, whole.parent.name
    if is_run(above) and whole in (RunPaths(above).model, RunPaths(above).merged):
        return above, None
    run = RunPaths(above.parent.parent)
    return (run.path, stage) if run.is_run and whole == StagePaths(run.stages_folder / stage).model else None


def start_of(name: str) -> str:
    """What a model's name stands for now: "suite", "run", "adapter", "folder", or "hub".

    A relative path looks like a hub's name from every other folder, so a run notes this when it begins.
    """
    if name in shipped_models():
        return "suite"
    path = Path(name).expanduser()
    if made_by(path) is not None:
        return "run"
    if path.is_dir():
        return "adapter" if is_adapter(path) else "folder"
    return "hub"


def recipe_of_run(folder: RunFolder) -> Recipe:
    """The recipe of a run as it was measured: in its precision, with the day of its chat template and its shots."""
    began, day = folder.began_in, folder.day
    settled: dict[str, object] = {} if began in (None, "float64") else {"dtype": began}
    if day is not None:
        settled["format.date"] = str(day)
    if (shots := folder.shots()) is not None:
        settled["format.shots.examples"] = [shot.model_dump() for shot in shots]
    return load_recipe(str(folder.recipe_file)).with_values(settled)


def model_source(name: str) -> str:
    """The folder or hub id of a model; for a run, its final model.

    Raises:
        RunError: a run that has no model yet.
    """
    shipped = shipped_models().get(name)
    if shipped is not None:
        return str(shipped)
    if not is_run(name):
        return name
    run = RunPaths(Path(name))
    if not run.model.is_dir():
        raise RunError(f"{name}: the run has no model yet; finish it with forget run {run.recipe_file}")
    return str(run.model)
