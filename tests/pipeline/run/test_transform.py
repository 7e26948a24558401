"""Stages that transform: measured, resumed, exported and shared by processes like any other."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

import forgetting
from forgetting.core.errors import RecipeError
from forgetting.core.progress import Voice
from forgetting.core.record import read_records
from forgetting.models.transforms import Given, build_transform
from forgetting.pipeline.estimate.estimate import estimate
from forgetting.pipeline.finished_run.ask import ask
from forgetting.pipeline.run.plan import planned
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from tests.pipeline.run.dying import code_of, start
from tests.training.several import Several

NOISE: dict[str, Any] = {"name": "perturb", "transform": {"name": "noise", "alpha": 0.3, "beta": 0.1}}
STAGE = {"learning_rate": 1e-3, "batch_size": 4, "duration": "2 steps", "checkpoint_every": "1 step"}
UNLEARN = {**STAGE, "name": "unlearn", "method": "graddiff", "evaluate_every": None}
LORA = {**UNLEARN, "adapter": {"rank": 2}}
DISTIL = {**UNLEARN, "name": "distil", "method": "distil", "reference": "stage:unlearn"}


def written(recipe_file: Path, name: str, *stages: dict[str, Any]) -> Path:
    recipe = yaml.safe_load(recipe_file.read_text())
    file = recipe_file.with_name(f"{name}.yaml")
    file.write_text(yaml.safe_dump({**recipe, "stages": list(stages)}))
    return file


def weights(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.glob("model/*.safetensors"))}


def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("between", ["merge", "stack"])
def test_noise_after_an_adapter_gives_a_whole_model_that_is_the_measured_one(
    recipe_file: Path, world: Path, between: str
) -> None:
    folder = run(load_recipe(str(written(recipe_file, "two", {**LORA, "between": between}, NOISE))))
    assert not (folder / "model" / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(folder / "model").config.num_hidden_layers == 2
    mine = {
        r.id: r
        for r in forgetting.evaluate(str(folder / "model"), data={"forget": str(world / "forget.jsonl")}).records
    }
    theirs = [r for r in read_records(folder / "records" / "perturb-after.jsonl") if r.split == "forget"]
    assert len(theirs) == 12
    assert all(r.score.logp == pytest.approx(mine[r.id].score.logp, rel=1e-4) for r in theirs)
    results = json.loads((folder / "results.json").read_text())
    assert [e["stage"] for e in results["evaluations"] if e["point"] == "after"] == ["unlearn", "perturb"]
    last = results["stages"][-1]
    assert (last["method"], last["transform"]) == ("noise", NOISE["transform"])
    assert (last["steps"], last["trainable"]) == (0, 0)
    assert results["cost"]["flops"]["evaluation"] > 0 and results["cost"]["flops"]["reason"] == ""
    assert "a transform of the weights" in (folder / "report.html").read_text()


def test_the_weights_are_those_of_the_transform_of_what_the_stage_before_left(recipe_file: Path) -> None:
    folder = run(load_recipe(str(written(recipe_file, "three", UNLEARN, NOISE, DISTIL))), report=False)
    before = AutoModelForCausalLM.from_pretrained(folder / "stages" / "unlearn" / "model")
    expected = build_transform("noise", {"alpha": 0.3, "beta": 0.1}).apply(before, Given(1)).state_dict()
    found = state(folder / "stages" / "perturb" / "model")
    assert all(torch.equal(found[name], expected[name]) for name in found)
    ended = state(folder / "model")
    assert any(not torch.equal(ended[name], found[name]) for name in found)


def test_distillation_brings_the_noised_model_back_to_the_unlearned_one_and_not_to_itself(recipe_file: Path) -> None:
    long = {**DISTIL, "duration": "40 steps", "learning_rate": 3e-3, "checkpoint_every": "40 steps"}
    noise = {**NOISE, "transform": {"name": "noise", "alpha": 0.5, "beta": 0.5}}
    folder = run(load_recipe(str(written(recipe_file, "undo", UNLEARN, noise, long))), report=False)
    history = [json.loads(line) for line in (folder / "stages" / "distil" / "history.jsonl").read_text().splitlines()]
    assert history[0]["loss"] > 1e-3  # compared with itself it would be 0
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]


def test_a_reference_may_be_a_folder_and_must_be_there_and_of_the_same_vocabulary(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    same = {**DISTIL, "reference": str(world / "model")}
    folder = run(load_recipe(str(written(recipe_file, "same", same))), report=False)
    history = (folder / "stages" / "distil" / "history.jsonl").read_text().splitlines()
    assert json.loads(history[0])["loss"] == pytest.approx(0, abs=1e-6)  # the model beside itself
    with pytest.raises(RecipeError, match="there is no such folder"):
        run(load_recipe(str(written(recipe_file, "none", DISTIL | {"reference": f"{tmp_path}/none"})), ["name=none"]))
    other = {**DISTIL, "reference": "lab"}
    with pytest.raises(forgetting.ForgettingError, match="rows of vocabulary and the model"):
        run(load_recipe(str(written(recipe_file, "other", other)), ["name=other"]))


def test_the_dry_run_and_the_estimate_tell_of_it(recipe_file: Path) -> None:
    plan = planned(load_recipe(str(written(recipe_file, "three", UNLEARN, NOISE, DISTIL))))
    assert "perturb: transform noise (alpha 0.3, beta 0.1), seed 1; no training" in plan.lines
    expected = estimate(plan.prepared)
    size = sum(p.numel() * p.element_size() for p in plan.prepared.loaded.model.parameters())
    assert expected.disk["models handed over"] == 2 * size and expected.disk["the model"] == size
    assert any("perturb" in note for note in expected.notes)
    assert expected.disk["stored references"] > 0


def test_a_run_can_be_asked_between_its_stages(recipe_file: Path) -> None:
    folder = run(load_recipe(str(written(recipe_file, "three", UNLEARN, NOISE, DISTIL))), report=False)
    assert [a.point for a in ask(folder, ["Where does guest 1 live?"])] == [
        "before", "after unlearn", "after perturb", "after",
    ]  # fmt: skip


TEACH = {**UNLEARN, "name": "teach", "method": {"name": "sft", "role": "forget"}}
NEGATE = {"name": "negate", "transform": {"name": "task_vector", "alpha": 2.0}}


def test_a_task_vector_is_taken_from_the_model_that_the_run_began_with_or_from_a_stage(
    recipe_file: Path, world: Path
) -> None:
    folder = run(load_recipe(str(written(recipe_file, "negated", TEACH, NEGATE))))
    start = AutoModelForCausalLM.from_pretrained(world / "model").state_dict()
    taught, ended = state(folder / "stages" / "teach" / "model"), state(folder / "model")
    expected = {n: start[n] - 2 * (w - start[n]) for n, w in taught.items()}
    assert all(torch.allclose(ended[n], w, atol=1e-6) for n, w in expected.items())
    assert any((taught[n] - start[n]).abs().max() > 1e-4 for n in taught)
    recipe = load_recipe(str(folder / "recipe.yaml"))
    assert [stage.reference for stage in recipe.stages] == ["before", "start"]
    assert [stage.forgets for stage in recipe.stages] == [False, True]  # a run that is to forget, and not by teaching
    second = {**NEGATE, "name": "again", "reference": "stage:negate"}
    other = run(load_recipe(str(written(recipe_file, "twice", TEACH, NEGATE, second)), ["name=two"]), report=False)
    middle = state(other / "stages" / "negate" / "model")
    assert all(torch.equal(state(other / "model")[n], w) for n, w in middle.items())  # it was its own reference


def test_an_influence_step_is_taken_on_the_adapter_of_the_stage_before(recipe_file: Path) -> None:
    step = {"name": "remove", "transform": {"name": "influence", "damping": 100.0, "iterations": 2, "step": 10.0}}
    stages = ({**TEACH, "adapter": {"rank": 2}, "between": "stack"}, step)
    said: list[str] = []
    folder = run(load_recipe(str(written(recipe_file, "removed", *stages))), voice=Voice(say=said.append), report=False)
    assert any("influence: 2 products with the Hessian" in line for line in said)
    measured = json.loads((folder / "results.json").read_text())["evaluations"]
    taught, removed = (
        next(m["value"] for m in e["measures"] if (m["split"], m["name"]) == ("forget", "probability"))
        for e in measured
        if e["point"] == "after"
    )
    assert removed < taught
    assert load_recipe(str(folder / "recipe.yaml")).stages[1].forgets


def test_an_influence_step_takes_refusals_in_place_of_the_forget_answers(recipe_file: Path) -> None:
    step = {"name": "influence", "order": "first", "step": 0.5}
    ends = {}
    for name, corrected in (("plain", False), ("put-right", True)):
        stage = {"name": "correct", "transform": {**step, "corrected": corrected}}
        folder = run(load_recipe(str(written(recipe_file, name, stage)), [f"name={name}"]), report=False)
        ends[name] = state(folder / "model")
    assert any(not torch.equal(ends["plain"][n], w) for n, w in ends["put-right"].items())


def test_start_is_a_reference_of_a_stage_that_trains_too(recipe_file: Path) -> None:
    noise = {**NOISE, "transform": {"name": "noise", "alpha": 0.5, "beta": 0.5}}
    back = {**DISTIL, "reference": "start", "duration": "1 steps"}
    first = [
        json.loads((folder / "stages/distil/history.jsonl").read_text().splitlines()[0])["loss"]
        for name, stages in (("far", (noise, back)), ("at", (back,)))
        for folder in [run(load_recipe(str(written(recipe_file, name, *stages)), [f"name={name}"]), report=False)]
    ]
    assert first[0] > 1e-3 and first[1] == pytest.approx(0, abs=1e-6)


def test_a_transform_that_compares_with_nothing_takes_no_reference(recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match="reference: 'noise' compares with no other model; remove the key"):
        load_recipe(str(written(recipe_file, "wrong", {**NOISE, "reference": "start"})))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    several = Several(tmp_path_factory.mktemp("meeting") / "store")
    yield several
    several.end()


def carry_out(file: Path, output: Path) -> Path:
    return run(load_recipe(str(file), {"output": str(output)}), report=False)


def test_two_processes_transform_as_one(two: Several, recipe_file: Path, tmp_path: Path) -> None:
    merge = {"name": "merge", "transform": "merge"}
    stages = ({**NOISE, "name": "shake"}, {**LORA, "between": "stack"}, merge, NEGATE, NOISE)
    file = written(recipe_file, "first", *stages)
    one = carry_out(file, tmp_path / "one")
    other = two.run(carry_out, file, tmp_path / "two")[0]
    assert state(one / "stages/shake/model").keys() == state(other / "stages/shake/model").keys()
    assert (one / "stages/shake/model/model.safetensors").read_bytes() == (
        other / "stages/shake/model/model.safetensors"
    ).read_bytes()
    mine, its = state(one / "model"), state(other / "model")
    assert all((mine[name] - its[name]).abs().max() < 1e-4 for name in mine)


@pytest.mark.slow
def test_killed_five_times_on_its_way_a_run_ends_with_the_same_bits(recipe_file: Path, tmp_path: Path) -> None:
    file = written(recipe_file, "three", {**LORA, "between": "stack"}, NOISE, DISTIL | {"reference": "stage:perturb"})

    assert code_of(start(file, tmp_path / "whole")) == 0
    kills = [("transformed", 1), ("result", 1), ("evaluation", 1), ("handing over", 1), ("handed over", 1)]
    codes = [code_of(start(file, tmp_path / "killed", where, call)) for where, call in kills]
    assert codes == [-signal.SIGKILL] * 5
    assert code_of(start(file, tmp_path / "killed")) == 0
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    assert weights(killed) == weights(whole) and weights(whole)
    for name in ("perturb-after.jsonl", "distil-after.jsonl"):
        assert (killed / "records" / name).read_bytes() == (whole / "records" / name).read_bytes()
