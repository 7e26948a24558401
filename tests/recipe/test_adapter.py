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
    full = recipe_from({"model": "m", "stages": [{"method": "ga", "adapter": {"kind": "full", "init": "fila"}}]})
    assert full.stages[0].roles == ("forget",) and full.stages[0].adapter_or_full.title == ""


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
