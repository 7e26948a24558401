"""Where the settings of a tuned stage are sought."""

import pytest

from forgetting.core.errors import RecipeError
from forgetting.core.tunable import OneOf, Tunable
from forgetting.recipe import Recipe, Stage, load_recipe
from forgetting.recipe.space import check_keys, own_point, settings_at, space_of


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("lab", ["learning_rate=1e-4", "duration=60 steps"])


@pytest.fixture
def stage(recipe: Recipe) -> Stage:
    return recipe.stages[0]


def test_every_method_has_a_rate_and_a_duration_around_the_recipes_own(stage: Stage) -> None:
    space = space_of(stage, "sft", {})
    assert list(space) == ["learning_rate", "duration"]
    rate = space["learning_rate"]
    assert isinstance(rate, Tunable) and (rate.low, rate.high) == (pytest.approx(1e-5), pytest.approx(1e-3))
    assert space["duration"] == Tunable(30, 120, log=True, whole=True)


def test_half_a_step_is_sought_between_one_and_two() -> None:
    stage = load_recipe("lab", ["duration=0.5 steps"]).stages[0]
    assert space_of(stage, "sft", {})["duration"] == Tunable(1, 2, log=True, whole=True)


def test_epochs_need_not_be_whole(recipe: Recipe) -> None:
    stage = recipe.with_values({"duration": "1 epochs"}).stages[0]
    assert space_of(stage, "sft", {})["duration"] == Tunable(0.5, 2.0, log=True)
    assert settings_at(stage, "graddiff", {"duration": 0.75}) == {"stages.unlearn.duration": "0.75 epochs"}
    stage = recipe.with_values({"duration": "3 epochs, at least 60 steps"}).stages[0]
    found = settings_at(stage, "graddiff", {"duration": 1.5})
    assert found == {"stages.unlearn.duration": "1.5 epochs, at least 60 steps"}


def test_a_method_says_where_its_own_parameters_are_sought(stage: Stage) -> None:
    space = space_of(stage, "npo", {})
    assert space["method.beta"] == Tunable(0.03, 3.0, log=True)
    assert "method.retain_weight" in space and "method.level" not in space


def test_a_recipe_replaces_adds_and_leaves_out(stage: Stage) -> None:
    written = {
        "learning_rate": {"low": "1e-5", "high": "1e-4", "log": True},
        "duration": None,
        "method.beta": [0.1, 1.0],
        "adapter.rank": {"low": 2, "high": 32, "log": True},
    }
    space = space_of(stage, "npo", written)
    assert space["learning_rate"] == Tunable(1e-5, 1e-4, log=True)
    assert "duration" not in space
    assert space["method.beta"] == OneOf((0.1, 1.0))
    assert space["adapter.rank"] == Tunable(2, 32, log=True, whole=True)
    assert "method.beta" not in space_of(stage, "graddiff", written)  # which has no beta


def test_an_unknown_key_is_named_with_the_nearest(stage: Stage) -> None:
    check_keys({"method.beta": None, "adapter.rank": None}, ["npo", "graddiff"])
    with pytest.raises(RecipeError, match=r"space.method.bta: .*method.beta"):
        check_keys({"method.bta": None}, ["npo"])
    with pytest.raises(RecipeError, match=r"space.learning_rat: .*learning_rate"):
        check_keys({"learning_rat": None}, ["npo"])


def test_a_form_that_is_none_is_refused_where_the_recipe_is_read() -> None:
    with pytest.raises(RecipeError, match=r"space.learning_rate: write \{low"):
        load_recipe("lab", ["space.learning_rate=1e-3"])


def test_the_recipes_own_settings_are_a_point_where_they_lie_inside(recipe: Recipe) -> None:
    stage = recipe.with_values({"method": {"name": "npo", "beta": 0.5}}).stages[0]
    assert own_point(stage, "npo", space_of(stage, "npo", {})) == {
        "learning_rate": 1e-4,
        "duration": 60.0,
        "method.beta": 0.5,
        "method.retain_weight": 1.0,
    }
    assert own_point(stage, "simnpo", space_of(stage, "simnpo", {}))["method.beta"] == 4.5  # its own default
    outside = space_of(stage, "npo", {"method.beta": {"low": 1, "high": 2}})
    assert "method.beta" not in own_point(stage, "npo", outside)


def test_a_point_gives_the_stage_its_method_and_settings(recipe: Recipe) -> None:
    stage = recipe.with_values({"method": {"name": "npo", "level": "token"}}).stages[0]
    changed = recipe.with_values({"method": {"name": "npo", "level": "token"}})
    point = {"method.beta": 0.2, "duration": 45, "learning_rate": 2e-4}
    own = changed.with_values(settings_at(stage, "npo", point)).stages[0]
    assert own.method == {"name": "npo", "level": "token", "beta": 0.2}
    assert (str(own.duration), own.learning_rate) == ("45 steps", 2e-4)
    other = changed.with_values(settings_at(stage, "undial", {"method.beta": 5.0})).stages[0]
    assert other.method == {"name": "undial", "beta": 5.0}


def test_nested_keys_are_dotted_ones() -> None:
    where = {"low": 1, "high": 2}
    nested = load_recipe("lab", {"space": {"method": {"beta": where, "gamma": None}}})
    assert nested.space == {"method.beta": where, "method.gamma": None}
    assert load_recipe("lab", ["space.method.beta={low: 1, high: 2}", "space.method.gamma=null"]) == nested
