"""An adapter's initialisation may be written in several ways that mean one."""

from __future__ import annotations

from typing import Any

import pytest

from forgetting.core.errors import RecipeError
from forgetting.recipe import Adapter, Recipe, recipe_from

FILA = {"name": "fila", "epsilon": "released", "examples": 3}


def recipe(**adapter: Any) -> Recipe:
    return recipe_from({"model": "m", "stages": [{"method": "graddiff", "adapter": adapter}]})


@pytest.mark.parametrize(
    "adapter",
    [
        {"init": FILA},
        {"init": "fila", "epsilon": "released", "importance_examples": 3},
        {"init": {"name": "fila", "examples": 3}, "epsilon": "released"},
    ],
)
def test_parameters_stand_under_init_or_under_the_keys_that_stand_for_them(adapter: dict[str, Any]) -> None:
    (stage,) = recipe(**adapter).stages
    assert stage.adapter_or_full.init == FILA
    assert stage.adapter_or_full.kind == "lora" and stage.adapter_or_full.title == "FILA"


def test_every_default_is_written_out_and_read_again() -> None:
    written = recipe(init="fila")
    assert written.stages[0].adapter_or_full.init == {"name": "fila", "epsilon": "relative", "examples": None}
    again = recipe_from(written.model_dump(mode="json"))
    assert again.to_yaml() == written.to_yaml()


def test_a_key_of_another_initialisation_has_no_meaning() -> None:
    assert recipe(rank=4, epsilon="relative", importance_examples=None).stages[0].adapter_or_full.init == {
        "name": "default"
    }


def test_a_stage_reads_the_roles_of_its_initialisation() -> None:
    stage = recipe_from({"model": "m", "stages": [{"method": "ga", "adapter": {"init": "fila"}}]}).stages[0]
    assert stage.roles == ("forget", "retain")
    full = recipe_from({"model": "m", "stages": [{"method": "loku", "adapter": {"kind": "full"}}]})  # its own is fila
    assert full.stages[0].roles == ("forget", "retain") and full.stages[0].adapter_or_full.title == ""


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ({"kind": "full", "init": "fila"}, "init: 'fila' is a start of LoRA, and kind: full trains"),
        ({"init": "fila", "epsilon": "nonsense"}, "epsilon is"),
        ({"init": "default", "epsilon": "nonsense"}, "epsilon is"),
        ({"epsilon": -1}, "epsilon is -1"),
        ({"importance_examples": 0}, "examples is 0"),
        ({"importance_examples": True}, "examples is True: true is not a number"),
        ({"init": {"name": "fila", "examples": True}}, "examples is True: true is not a number"),
        ({"init": {"name": "fila", "epsilon": 1.0}, "epsilon": 1.0}, "epsilon is init.epsilon, which is given too"),
        ({"init": {"name": ["fila"]}}, "init: give its name"),
        ({"init": 3}, "init: give its name"),
    ],
)
def test_what_an_adapter_cannot_mean_is_refused(adapter: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from({"model": "m", "stages": [{"method": "ga", "adapter": adapter}]})


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("filla", "unknown initialisation 'filla'; did you mean 'fila'"),
        ({"epsilon": 1.0}, "init: give its name"),
        ({"name": "fila", "zzz": 1}, "initialisation 'fila' has no parameter 'zzz'"),
    ],
)
def test_an_initialisation_that_is_none_is_named(init: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(init=init)


def test_an_adapter_alone_is_full_tuning() -> None:
    assert Adapter().kind == "full" and Adapter().initialisation.roles == ()
