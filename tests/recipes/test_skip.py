"""Stages that are left out of a recipe."""

from __future__ import annotations

import pytest

from forgetting.core.errors import RecipeError
from forgetting.recipe import load_recipe


def _stages(*overrides: str) -> list[tuple[str, int]]:
    recipe = load_recipe("lab-f2f", [*overrides, "seed=10"])
    return [(stage.name, recipe.seed_of(stage)) for stage in recipe.stages]


def test_a_stage_that_is_null_is_left_out_and_the_others_keep_their_seeds() -> None:
    assert _stages() == [("unlearn", 10), ("adapt", 11), ("tune", 12)]
    assert _stages("stages.adapt=null") == [("unlearn", 10), ("tune", 12)]
    assert _stages("stages.unlearn=null", "stages.adapt=null") == [("tune", 12)]
    assert _stages("stages.tune.skip=true") == [("unlearn", 10), ("adapt", 11)]


def test_what_is_said_of_a_stage_that_is_left_out_is_still_read() -> None:
    later = ("stages.unlearn=null", "stages.unlearn.learning_rate=1e-3")
    assert _stages(*later) == [("adapt", 11), ("tune", 12)]
    with pytest.raises(RecipeError, match="learning_rat"):
        load_recipe("lab-f2f", ["stages.unlearn=null", "stages.unlearn.learning_rat=1e-3"])


def test_the_resolved_recipe_gives_the_same_stages_and_seeds() -> None:
    recipe = load_recipe("lab-f2f", ["stages.unlearn=null"])
    again = type(recipe).model_validate(recipe.model_dump(mode="json"))
    assert [again.seed_of(stage) for stage in again.stages] == [1, 2]


def test_a_stage_that_is_left_out_asks_nothing_of_the_others() -> None:
    qlora = "stages.unlearn.adapter={kind: qlora, rank: 4}"
    with pytest.raises(RecipeError, match="4 bits"):
        load_recipe("lab-f2f", [qlora])
    assert load_recipe("lab-f2f", [qlora, "stages.unlearn=null"]).quantise is None


def test_something_must_be_left() -> None:
    with pytest.raises(RecipeError, match="all are left out"):
        load_recipe("lab-f2f", ["stages.unlearn=null", "stages.adapt=null", "stages.tune=null"])
