"""What a folder is that is not the finished run that was meant, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.runs.paths import RunPaths, SweepPaths


def check_run(folder: Path) -> None:
    """Checks that the folder is a run's.

    Raises:
        RunError: it is not; what it is instead, and what to do.
    """
    paths = RunPaths(folder)
    if paths.is_run:
        return
    if paths.settings_file.is_file():
        raise RunError(f"{folder}: is an evaluation, which holds no model; name the folder of a run")
    if paths.is_finished:
        raise RunError(f"{folder}: its {paths.recipe_file.name} is missing; bring it back")
    raise RunError(f"{folder}: {(folder.is_dir() and of_runs(folder)) or no_run(folder)}")


def of_runs(folder: Path) -> str:
    """That a folder holds runs and is none itself, and what to do, as the end of a message; empty if it does not."""
    inside = sorted(path.name for path in folder.iterdir() if RunPaths(path).is_run or RunPaths(path).is_finished)
    if SweepPaths(folder).is_sweep:
        return f"is a sweep; its report is {SweepPaths(folder).report_file}; else name one of its runs: {_few(inside)}"
    if inside:
        return f"is a folder of {len(inside)} {'run' if len(inside) == 1 else 'runs'}; name one of them: {_few(inside)}"
    return ""


def contents(folder: Path) -> str:
    """What a folder without results is, and what to do, as the end of a message."""
    if said := of_runs(folder):
        return said
    name = RunPaths(folder).results_file.name
    if RunPaths(folder).pruned_file.is_file():
        return f"has no {name}; a tuning ended the run early, start it again to run it to its end"
    if RunPaths(folder).is_run:
        return f"has no {name}; the run has not finished, start it again to resume it"
    return no_run(folder)


def no_run(path: Path, wanted: str = "the folder of a run") -> str:
    """What a path is that is no run and holds none, and what to name, as the end of a message."""
    fault = "is no run and holds none" if path.is_dir() else "is a file" if path.exists() else "no such folder"
    return f"{fault}; name {wanted}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
