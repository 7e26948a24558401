"""The recipe of a row's run, and a finished run found again."""

from pathlib import Path

import pytest

from forgetting.benchmarks.published import published_table
from forgetting.core.errors import RecipeError
from forgetting.pipeline.reproduce.row import found_row, row_recipe, run_row
from tests.pipeline.reproduce.rehearsal import Rehearsal

TABLE = published_table("loku-table2")
ORIGINAL, TRAINED = TABLE.rows[0], next(row for row in TABLE.rows if row.id == "kl-lora-forget10")


def test_a_runs_recipe_has_the_rows_overrides_its_name_and_the_models_given() -> None:
    recipe = row_recipe(TRAINED, next(TABLE.runs(TRAINED)), model="./mine", oracle="./other")
    assert (recipe.name, recipe.model, recipe.oracle) == (TRAINED.id, "./mine", "./other")
    assert recipe.stages[0].method == {"name": "ga_kl", "retain": "kl_from_reference"}


def test_a_row_that_is_not_trained_is_measured_once_and_found_with_any_model(tmp_path: Path) -> None:
    with Rehearsal() as rehearsal:
        given = {"model": str(rehearsal.model("phi")), "oracle": str(rehearsal.model("phi", seed=1))}
        asked = row_recipe(ORIGINAL, next(TABLE.runs(ORIGINAL)), **given).with_values({"output": str(tmp_path)})
        recipe = rehearsal.shrunk(asked)
        assert found_row(recipe, ORIGINAL) is None
        measured = run_row(recipe, ORIGINAL)
        before = (recipe.folder / "measured.json").stat().st_mtime_ns
        again = run_row(recipe, ORIGINAL)
    assert (recipe.folder / "measured.json").stat().st_mtime_ns == before, "nothing was measured twice"
    found = found_row(recipe.with_values({"model": "elsewhere"}), ORIGINAL)
    assert found is not None and found.measures == measured.measures == again.measures
    assert "all/model_utility" in measured.measures


def test_a_folder_with_a_run_of_another_recipe_is_refused(tmp_path: Path) -> None:
    with Rehearsal() as rehearsal:
        asked = row_recipe(ORIGINAL, next(TABLE.runs(ORIGINAL)), model=str(rehearsal.model("phi")), oracle=None)
        recipe = rehearsal.shrunk(asked.with_values({"output": str(tmp_path)}))
        run_row(recipe, ORIGINAL)
    with pytest.raises(RecipeError, match="holds a run of another recipe; remove it, or choose another output"):
        found_row(recipe.with_values({"seed": 5}), ORIGINAL)
