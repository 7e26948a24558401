"""The models of a run are those that it measured, and adapters are views of one set of weights."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.errors import RunError
from forgetting.core.progress import Voice
from forgetting.models.loading import load_model
from forgetting.pipeline.finished_run.examples import data_of
from forgetting.pipeline.finished_run.models import models_of, oracle_of, recipe_of
from tests.pipeline.finished_run.test_ask import made

LORA = {"rank": 2}


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.arange(5, 25)[None]).logits


def saved(folder: Path) -> torch.Tensor:
    return logits(load_model(folder, dtype="float32").model)


@pytest.fixture(scope="module")
def lora(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(world, tmp_path_factory.mktemp("models"), "lora", [{"method": "graddiff", "adapter": LORA}])


def test_with_an_adapter_before_and_after_are_views_of_one_set_of_weights(lora: Path, world: Path) -> None:
    before, after = models_of(lora, recipe_of(lora))
    assert (before.point, after.point) == ("before", "after")
    inside = {p.data_ptr() for p in after.view.model.parameters()}
    assert {p.data_ptr() for p in before.view.model.parameters()} <= inside
    with before.view.active() as model:
        torch.testing.assert_close(logits(model), saved(world / "model"), rtol=0, atol=0)
    with after.view.active() as model:
        torch.testing.assert_close(logits(model), saved(lora / "model"), rtol=1e-4, atol=1e-6)
    with before.view.active() as model:
        torch.testing.assert_close(logits(model), saved(world / "model"), rtol=0, atol=0)


def test_with_full_tuning_each_is_a_model_of_its_own(world: Path, tmp_path: Path) -> None:
    folder = made(world, tmp_path, "full", [{"method": "graddiff", "adapter": {"kind": "full"}}])
    found = {m.point: m for m in models_of(folder, recipe_of(folder))}
    for point, kept in (("before", world / "model"), ("after", folder / "model")):
        with found[point].view.active() as model:
            torch.testing.assert_close(logits(model), saved(kept), rtol=0, atol=0)


def test_the_oracle_comes_last_and_stages_only_if_asked_for(world: Path, tmp_path: Path) -> None:
    blank_model(tmp_path / "oracle", [world / "retain.jsonl"], hidden=32, layers=1, vocabulary=400, seed=8)
    two = [
        {"name": "one", "method": "graddiff", "adapter": LORA, "between": "stack"},
        {"name": "two", "method": "npo", "adapter": LORA},
    ]
    folder = made(world, tmp_path, "stack", two)
    recipe, oracle = recipe_of(folder), str(tmp_path / "oracle")
    assert [m.point for m in models_of(folder, recipe, oracle=oracle)] == ["before", "after", "oracle"]
    seen = {}
    for one in models_of(folder, recipe, stages=True):
        with one.view.active() as model:
            seen[one.point] = copy.copy(logits(model))
    assert list(seen) == ["before", "after one", "after"]
    assert len({float(value.sum()) for value in seen.values()}) == 3


def test_which_model_the_oracle_is(world: Path, tmp_path: Path) -> None:
    said: list[str] = []
    stage = [{"method": "graddiff", "adapter": LORA}]
    for name, oracle in (("none", None), ("model", str(world / "model"))):
        folder = made(world, tmp_path, name, stage, **({} if oracle is None else {"oracle": oracle}))
        recipe = recipe_of(folder)
        assert oracle_of(recipe, data_of(folder, recipe)) == oracle
    records = tmp_path / "model" / "records" / "oracle.jsonl"
    folder = made(world, tmp_path, "records", stage, oracle=str(records))
    recipe = recipe_of(folder)
    assert oracle_of(recipe, data_of(folder, recipe), Voice(say=said.append)) is None
    assert "is a file of records, not a model" in said[0]


def test_an_oracle_that_is_not_there_is_one_line(lora: Path) -> None:
    with pytest.raises(RunError, match=r"/nowhere: the oracle cannot be loaded: .*no such model folder") as told:
        list(models_of(lora, recipe_of(lora), oracle="/nowhere"))
    assert "\n" not in str(told.value)
