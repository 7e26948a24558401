"""A stage either trains or transforms."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from forgetting.core.errors import RecipeError
from forgetting.recipe import Recipe, recipe_from

UNLEARN = {"name": "unlearn", "method": "graddiff"}
NOISE = {"name": "perturb", "transform": {"name": "noise", "alpha": 0.3}}
DISTIL = {"name": "distil", "method": "distil", "reference": "stage:unlearn"}


def of(*stages: dict[str, Any]) -> Recipe:
    return recipe_from({"model": "m", "stages": list(stages)})


def test_a_transform_stands_in_line_and_has_the_seed_of_its_place_or_its_own() -> None:
    recipe = of(UNLEARN, NOISE, DISTIL)
    assert [recipe.seed_of(stage) for stage in recipe.stages] == [0, 1, 2]
    assert [stage.what for stage in recipe.stages] == ["graddiff", "noise", "distil"]
    assert [stage.trains for stage in recipe.stages] == [True, False, True]
    own = recipe.with_values({"stages.perturb.transform.seed": 17})
    assert own.seed_of(own.stages[1]) == 17


def test_the_full_recipe_says_of_each_stage_only_what_it_may_say_and_reads_back() -> None:
    recipe = of(UNLEARN, NOISE, DISTIL)
    stages = yaml.safe_load(recipe.to_yaml())["stages"]
    assert set(stages[1]) == {"name", "transform", "data", "skip", "place"}
    assert not {"transform", "reference"} & set(stages[0])
    assert stages[2]["reference"] == "stage:unlearn"
    assert recipe_from(yaml.safe_load(recipe.to_yaml())) == recipe


def test_a_name_alone_may_be_given_parameters() -> None:
    stage = of({"transform": "noise"}).with_values({"transform.alpha": 0.5}).stages[0]
    assert stage.transform == {"name": "noise", "alpha": 0.5}


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([{"name": "x"}], "the method is missing; write method: NAME, or transform: NAME"),
        ([NOISE | {"learning_rate": 1}], "learning_rate is for a stage that trains, and 'perturb' transforms; remove"),
        ([NOISE | {"method": "npo"}], "method is for a stage that trains"),
        ([NOISE | {"between": "stack"}], "between is for a stage that trains"),
        ([NOISE | {"lerning_rate": 1}], "unknown key 'stages.0.lerning_rate'"),
        ([{"transform": {"alpha": 1}}], "transform: give its name"),
        ([{"transform": "nois"}], "unknown transform 'nois'; did you mean 'noise'?"),
        ([{"transform": {"name": "noise", "alhpa": 1}}], "has no parameter 'alhpa'; did you mean 'alpha'?"),
        ([{"transform": {"name": "noise", "seed": "x"}}], "seed is 'x'; write a whole number"),
        (
            [UNLEARN | {"adapter": {"rank": 2}, "between": "keep"}, NOISE],
            "'unlearn' keeps its adapter in training (between: keep), but stage 'perturb' transforms",
        ),
        ([UNLEARN | {"adapter": {"kind": "qlora"}, "between": "stack"}, NOISE], "'perturb' transforms whole weights"),
        (
            [NOISE, DISTIL],
            "reference is 'unlearn', which is not an earlier stage that leaves a whole model; known: perturb",
        ),
        (
            [UNLEARN | {"adapter": {"rank": 2}, "between": "stack"}, DISTIL],
            "reference is 'unlearn', which is not an earlier stage that leaves a whole model; there is none",
        ),
        ([UNLEARN, {"name": "b", "method": "sft", "reference": "stage:unlearn"}], "'sft' compares with no other model"),
    ],
)
def test_what_has_no_meaning_is_one_line(stages: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        of(*stages)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stage", "forgets"),
    [
        (UNLEARN, True),
        ({"method": "sft"}, False),
        ({"method": {"name": "graddiff", "forget_weight": 0}}, False),
        (NOISE, None),
    ],
)
def test_a_stage_forgets_by_a_term_on_the_forget_set_that_weighs_anything(
    stage: dict[str, Any], forgets: bool | None
) -> None:
    assert of(stage).stages[0].forgets is forgets


def test_an_end_despite_damage_needs_a_goal_to_end_at() -> None:
    assert of({**UNLEARN, "until": "forget/probability <= 0.1", "despite_damage": True}).stages[0].despite_damage
    with pytest.raises(RecipeError, match="despite_damage: says how `until` ends the stage; set until"):
        of({**UNLEARN, "despite_damage": True})


def test_a_new_token_has_a_name() -> None:
    assert recipe_from({"model": "m", "stages": [UNLEARN], "new_tokens": ["<idk>"]}).new_tokens == ["<idk>"]
    with pytest.raises(RecipeError, match="new_tokens"):
        recipe_from({"model": "m", "stages": [UNLEARN], "new_tokens": [""]})
