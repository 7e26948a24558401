"""A stage that ends by how far its model is from its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetting.core.errors import RecipeError
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.runs.results import Results
from tests.pipeline.run.test_transform import DISTIL, NOISE, STAGE, UNLEARN, written

UNTIL = {
    **DISTIL,
    "duration": "60 steps",
    "learning_rate": 1e-3,
    "checkpoint_every": "30 steps",
    "evaluate_every": "2 steps",
    "keep": "last",
    "despite_damage": True,
}
HARD = {**NOISE, "transform": {"name": "noise", "alpha": 0.5, "beta": 0.5}}


def results(recipe_file: Path, name: str, last: dict[str, Any]) -> Results:
    recipe = load_recipe(str(written(recipe_file, name, UNLEARN, HARD, last)), [f"name={name}"])
    return Results.load(run(recipe, report=False))


def test_distillation_ends_at_the_first_evaluation_near_the_teacher(recipe_file: Path) -> None:
    limit = 0.001
    found = results(recipe_file, "undo", UNTIL | {"until": f"retain/kl_from_reference <= {limit}"})
    stage = found.stages[-1]
    way = [
        e.measure("retain/kl_from_reference") for e in found.evaluations if (e.stage, e.point) == ("distil", "epoch")
    ]
    values = [m.value for m in way if m is not None]
    assert len(values) == len(way) >= 2 and stage.stopped == "goal" and stage.steps == 2 * len(values) < 60
    assert values[-1] <= limit < min(values[:-1])
    after = found.after.measure("retain/kl_from_reference")
    assert after.value == pytest.approx(values[-1], rel=1e-3)  # the same examples
    assert found.before.measure("retain/kl_from_reference") is None


def test_the_reference_is_the_one_that_the_stage_names(recipe_file: Path, world: Path) -> None:
    idle = {**STAGE, "name": "tune", "method": {"name": "sft", "role": "forget"}, "keep": "last", "learning_rate": 1e-9}
    idle |= {"evaluate_every": "1 step", "until": "retain/kl_from_reference <= 0.00001", "despite_damage": True}
    itself = results(recipe_file, "itself", idle).stages[-1]
    assert (itself.steps, itself.stopped) == (1, "goal")  # the model before the stage is the reference
    for name in ("start", str(world / "model")):
        found = results(recipe_file, f"other-{len(name)}", idle | {"reference": name})
        assert (found.stages[-1].steps, found.stages[-1].stopped) == (2, "duration")  # the noise is in between
        assert found.after.measure("retain/kl_from_reference").value > 0.001


def test_a_split_that_is_not_measured_is_refused_before_the_run(recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match=r"retrain/excess_loss <= 0\.05 is of no split that is measured then.*retain"):
        results(recipe_file, "wrong", UNTIL | {"until": "retrain/excess_loss <= 0.05"})


def test_another_reference_needs_something_that_compares(recipe_file: Path) -> None:
    sft = {**STAGE, "name": "tune", "method": {"name": "sft", "role": "forget"}, "reference": "start"}
    recipe = yaml.safe_load(recipe_file.read_text())
    file = recipe_file.with_name("idle.yaml")
    file.write_text(yaml.safe_dump({**recipe, "stages": [sft]}))
    with pytest.raises(RecipeError, match="compares with no other model"):
        load_recipe(str(file))
