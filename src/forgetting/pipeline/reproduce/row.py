"""One run of a row of a published table: run it, or find its finished run, and read what it measured."""

from __future__ import annotations

from pathlib import Path

from forgetting.benchmarks.published import Ended, Row
from forgetting.core.errors import RecipeError
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.audit.whole import run
from forgetting.pipeline.run.load import load_measured
from forgetting.pipeline.run.records import cached, of_oracle
from forgetting.pipeline.run.shots import with_shots
from forgetting.pipeline.run.suites import suite_of
from forgetting.recipe import Recipe, load_recipe
from forgetting.recipe.changes import combined, parsed
from forgetting.runs.cost import own_measures
from forgetting.runs.folder import RunFolder


def row_recipe(row: Row, planned: tuple[str, tuple[str, ...]], *, model: str, oracle: str | None) -> Recipe:
    """The recipe of one run of a row.

    Args:
        row: of the table.
        planned: the run's name and its overrides (`Table.runs`).
        model: a folder or hub id, which the run starts from.
        oracle: likewise, of the model that never saw the forget set; None: there is none.

    Raises:
        RecipeError: the table's overrides do not fit the recipe.
    """
    name, overrides = planned
    return load_recipe(row.recipe, combined(parsed(overrides), {"name": name, "model": model, "oracle": oracle}))


def run_row(recipe: Recipe, row: Row, *, voice: Voice = SILENT, report: bool = True) -> Ended:
    """Runs the recipe of a row and returns what it measured; a row without training only evaluates its model."""
    if row.trained:
        return _ended(run(recipe, voice=voice, report=report))
    return _measured(recipe, voice)


def found_row(recipe: Recipe, row: Row) -> Ended | None:
    """The finished run of this recipe with any model; None if there is none.

    Raises:
        RecipeError: the folder holds a finished run of another recipe.
    """
    folder = recipe.folder
    paths = RunFolder(folder)
    if not (paths.results_file if row.trained else paths.measures_file).is_file():
        return None
    stored = load_recipe(str(paths.recipe_file))
    same = recipe.with_values({key: getattr(stored, key) for key in ("model", "oracle", "output", "analyse")})
    if same != stored:
        raise RecipeError(f"{folder}: holds a run of another recipe; remove it, or choose another output")
    return _ended(folder) if row.trained else _measured_before(stored)


def _ended(folder: Path) -> Ended:
    """What a finished run measured after its last stage."""
    results = RunFolder(folder).results()
    after = results.after
    assert after is not None, "a finished run has measures of its end"
    measures = {m.key: m for m in (*own_measures(results), *after.measures)}
    return Ended(str(folder), measures, results.stages[-1].success, results.status == "collapsed")


def _measured(recipe: Recipe, voice: Voice) -> Ended:
    """Evaluates the model without training and writes the measures, or reads those of an earlier call."""
    found = _measured_before(recipe)
    if found is not None:
        return found
    voice.say(f"evaluating {recipe.model} without training: {recipe.name}")
    asked = recipe
    loaded, recipe = load_measured(recipe, voice)
    suite = suite_of(recipe, {})
    recipe = with_shots(recipe, {}, suite, voice=voice)
    taken = cached(loaded.model, loaded.tokenizer, suite, recipe, voice)
    measures = taken.measures(suite, of_oracle(recipe, suite, voice))
    folder = RunFolder(recipe.folder)
    folder.write_recipe(asked.to_yaml())
    folder.write_measures(measures)
    return Ended(str(recipe.folder), {m.key: m for m in measures})


def _measured_before(recipe: Recipe) -> Ended | None:
    folder = RunFolder(recipe.folder)
    if not folder.measures_file.is_file() or folder.recipe_file.read_text(encoding="utf-8") != recipe.to_yaml():
        return None
    return Ended(str(recipe.folder), {m.key: m for m in folder.measures()})
