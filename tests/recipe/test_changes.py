"""A recipe is changed in one way, and what was never written follows from the changes."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from forgetting.core.errors import RecipeError
from forgetting.recipe import Recipe, load_recipe, recipe_from
from forgetting.recipe.changes import combined, parsed, parsed_of_one

TWO = {
    "model": "m",
    "data": {"forget": "f.jsonl", "retain": "r.jsonl"},
    "stages": [{"name": "one", "method": "graddiff"}, {"name": "two", "method": {"name": "npo", "beta": 0.2}}],
}


def two(**changes: Any) -> Recipe:
    return recipe_from(TWO | changes, "two.yaml")


def test_a_change_is_validated_and_leaves_the_recipe_as_it_was() -> None:
    recipe = two()
    other = recipe.with_values({"seed": 3, "stages.two.learning_rate": "1e-3"})
    assert (other.seed, other.stages[1].learning_rate) == (3, 1e-3)
    assert (recipe.seed, recipe.stages[1].learning_rate) == (0, 1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"stages.two.method.beta": 0.5, "stages.two.duration": "3 steps"},
        {"stages": {"two": {"method.beta": 0.5, "duration": "3 steps"}}},
        {"stages.1.duration": "3 steps", "stages": {"two": {"method": {"name": "npo", "beta": 0.5}}}},
    ],
)
def test_dotted_keys_and_stages_by_name_say_the_same(changes: dict[str, Any]) -> None:
    stage = two().with_values(changes).stages[1]
    assert (stage.method, str(stage.duration)) == ({"name": "npo", "beta": 0.5}, "3 steps")


def test_a_key_below_a_bare_name_is_a_parameter_of_it() -> None:
    stage = load_recipe("lab", ["gradients=rectified", "gradients.gamma=0.5", "adapter.init=fila"]).stages[0]
    assert stage.gradients == {"name": "rectified", "gamma": 0.5}
    changed = load_recipe("lab", ["adapter={rank: 4, init: fila}", "adapter.init.epsilon=released"]).stages[0]
    assert changed.adapter is not None and changed.adapter.init["epsilon"] == "released"


def test_the_command_line_says_the_same_as_a_mapping() -> None:
    arguments = ["method=npo", "method.beta=0.5", "data.forget={suite: lab}", "threads=null"]
    mapping = {"method": "npo", "method.beta": 0.5, "data.forget": {"suite": "lab"}, "threads": None}
    assert load_recipe("lab", arguments) == load_recipe("lab", mapping) == load_recipe("lab").with_values(mapping)


def test_another_method_brings_its_own_adapter_and_what_was_written_of_it_stays() -> None:
    plain = two()
    assert plain.stages[0].adapter_or_full.kind == "full"
    assert plain.with_values({"stages.one.method": "loku"}).stages[0].adapter_or_full.init["name"] == "fila"
    back = plain.with_values({"stages.one.method": "loku"}).with_values({"stages.one.method": "graddiff"})
    assert back == plain
    written = plain.with_values({"stages.one.adapter.rank": 5}).with_values({"stages.one.method": "loku"})
    assert (written.stages[0].adapter_or_full.rank, written.stages[0].adapter_or_full.title) == (5, "FILA")


def test_a_stage_that_was_left_out_keeps_its_place_and_may_come_back() -> None:
    recipe = two().with_values({"stages": {"one": None}})
    assert [(s.name, recipe.seed_of(s)) for s in recipe.stages] == [("two", 1)]
    again = recipe.with_values({"stages.one.skip": False, "seed": 4})
    assert [(s.name, again.seed_of(s)) for s in again.stages] == [("one", 4), ("two", 5)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 1}, r"unknown key 'seeds'; did you mean 'seed'\?"),
        ({"stages.two.learning_rat": 1}, r"learning_rat'; did you mean 'learning_rate'\?"),
        ({"stages.too.seed": 1}, r"no stage 'too'; did you mean 'two'\?"),
        ({"stages": {"too": {"seed": 1}}}, r"no stage 'too'; did you mean 'two'\?"),
        ({"learning_rate": 1}, r"there are several stages \(one, two\); write stages.NAME.learning_rate"),
        ({"seed": -1}, r"two.yaml: 'seed': .*\(got -1\)"),
        ({"stages.one.method": "nop"}, r"unknown method 'nop'; did you mean 'npo'\?"),
        ({"model.x": 1}, r"'model' holds 'm', which has no keys"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_key(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        two().with_values(changes)
    assert "\n" not in str(caught.value)


def test_what_another_process_is_given_can_be_changed_there() -> None:
    recipe = pickle.loads(pickle.dumps(two()))
    assert recipe == two()
    assert recipe.with_values({"stages.one.method": "loku"}).stages[0].adapter_or_full.init["name"] == "fila"


def test_recipes_that_say_the_same_are_equal_however_they_were_written() -> None:
    recipe = two()
    assert recipe == recipe_from(recipe.model_dump(mode="json"))
    assert recipe != recipe.with_values({"seed": 1})


def test_the_last_value_of_a_key_holds_and_comes_last() -> None:
    assert list(combined({"a": 1, "b": 2}, {"a": 3}).items()) == [("b", 2), ("a", 3)]
    assert load_recipe("lab", ["method.beta=0.5", "method=npo", "method.beta=2"]).stages[0].method["beta"] == 2
    with pytest.raises(RecipeError, match="write key=value"):
        parsed(["seed"])
    with pytest.raises(RecipeError, match="not YAML"):
        parsed(["seed=[1"])
    with pytest.raises(RecipeError, match=r"'a'.*given twice, line 1"):
        parsed(["method={a: 1, a: 2}"])


def test_a_stage_cannot_be_left_out_and_changed_on_one_command_line() -> None:
    for given in (["stages.one=null", "stages.one.method=npo"], ["stages.one.method=npo", "stages.one=null"]):
        with pytest.raises(RecipeError, match=r"'stages\.one\.method': 'stages\.one=null' leaves this stage out"):
            parsed_of_one(given)
        assert len(parsed(given)) == 2
    assert len(parsed_of_one(["stages.one=null", "stages.two.method=npo", "seed=1"])) == 3


def test_null_is_absence_where_a_stage_becomes_a_transform() -> None:
    recipe = recipe_from({"model": "m", "stages": [{"method": "npo", "learning_rate": 1e-3}]})
    changes = parsed(["transform=noise", "method=null", "learning_rate=null"])
    stage = recipe.with_values(changes).stages[0]
    assert stage.what == "noise" and not stage.trains
    with pytest.raises(RecipeError, match="is for a stage that trains, and 'unlearn' transforms"):
        recipe.with_values({"transform": "noise", "method": None})
    with pytest.raises(RecipeError, match="the method is missing"):
        recipe.with_values({"method": None})
