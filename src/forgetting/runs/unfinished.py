"""The results of a run that has not come to its end, as far as its folder holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from forgetting.core.errors import RunError
from forgetting.core.written import read_yaml, reason
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results, read_formatted
from forgetting.runs.stage_result import StageResult


def results_so_far(folder: Path) -> Results:
    """The results of a finished run; of any other, what its folder holds by now, with the status `unfinished`.

    A stage that goes on is among the stages with the steps that it has taken. A run that an earlier version began says
    less of itself: only what its recipe and its evaluations do.

    Raises:
        RunError: the folder is no run's, or a file of it is damaged.
    """
    run = RunFolder(folder)
    if run.is_finished or not run.is_run:
        return Results.load(folder)
    known = read_formatted(TypeAdapter(Results), run.begun_file) if run.begun_file.is_file() else _of_recipe(run)
    stages = [found for stage in stages_of(known.recipe) if (found := _stage(run, stage)) is not None]
    names = [str(stage["name"]) for stage in stages_of(known.recipe)]
    evaluations = tuple(e.finite() for e in run.evaluations.in_order(names))
    return replace(known, folder=folder, stages=tuple(stages), evaluations=evaluations)


def stages_of(recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The stages of a resolved recipe; of none, none."""
    found = recipe.get("stages")
    every = found if isinstance(found, list) else []
    return [stage for stage in every if isinstance(stage, Mapping) and "name" in stage]


def _of_recipe(run: RunFolder) -> Results:
    file = run.recipe_file
    try:
        text = file.read_text(encoding="utf-8")
        recipe = read_yaml(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(f"{file}: cannot be read ({reason(error)}); bring it back") from error
    if not isinstance(recipe, Mapping):
        raise RunError(f"{file}: holds no recipe; bring it back")
    return Results(
        folder=run.path,
        name=str(recipe.get("name", run.path.name)),
        status="unfinished",
        recipe=recipe,
        recipe_yaml=text,
        question=str(recipe.get("question") or ""),
        model=str(recipe.get("model") or ""),
        oracle=None if recipe.get("oracle") is None else str(recipe["oracle"]),
        redacted=bool(recipe.get("redact")),
    )


def _stage(run: RunFolder, stage: Mapping[str, Any]) -> StageResult | None:
    """How a stage ended, or how far it is; None if it has not begun."""
    folder = run.stage(str(stage["name"]))
    if folder.result_file.is_file():
        return folder.result()
    if not folder.prepared_file.is_file():
        return None
    last = folder.recent(1)
    return StageResult(
        name=str(stage["name"]),
        method=method_of(stage),
        learning_rate=stage.get("learning_rate"),
        goal=str(stage.get("until") or ""),
        steps=last[0].step if last else 0,
        epochs=last[0].epoch if last else 0.0,
        total=folder.planned_steps() or 0,
    )


def method_of(stage: Mapping[str, Any]) -> str:
    """The name of a stage's method, or of its transform."""
    named = stage.get("transform") or stage.get("method")
    return str(named.get("name", "")) if isinstance(named, Mapping) else str(named or "")
