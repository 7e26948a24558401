"""Forget sets one after another: what becomes of the adapter between them, and of a run that is killed on the way."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import forgetting
from forgetting.core.errors import RecipeError
from forgetting.core.record import read_records
from forgetting.data.examples import load_examples
from forgetting.data.source import given_source
from forgetting.pipeline.finished_run.purge import purge
from forgetting.pipeline.run import evaluator as measuring
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.paired import paired
from forgetting.runs.results import Results
from tests.conftest import write_rows

BETWEEN = ("merge", "stack", "keep")


def three_sets(recipe_file: Path, world: Path, between: str, method: str = "loku") -> Path:
    """Three stages over three disjoint forget sets, and retain data beside."""
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    recipe = yaml.safe_load(recipe_file.read_text())
    stage = {**recipe["stages"][0], "duration": "2 steps", "checkpoint_every": "1 step", "between": between}
    stage["method"] = method
    stage["adapter"] = {"kind": "lora", "rank": 2, "init": "fila" if method == "loku" else "default", "targets": "all"}
    recipe["stages"] = [
        {**stage, "name": f"set{i}", "data": {"forget": str(write_rows(world / f"set{i}.jsonl", rows[i::3]))}}
        for i in range(3)
    ]
    del recipe["data"]["forget"]
    file = recipe_file.with_name(f"{between}.yaml")
    file.write_text(yaml.safe_dump(recipe))
    return file


def weights_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "model").glob("*.safetensors")}


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("method", ["loku", "npo"])
def test_a_run_interrupted_after_any_stage_ends_with_the_same_bytes(
    recipe_file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str, method: str
) -> None:
    recipe = load_recipe(str(three_sets(recipe_file, world, between, method)))
    whole = run(recipe.with_values({"output": str(tmp_path / "whole")}), report=False)
    for place in ("during", "after"):
        for times in (1, 2, 3):
            calls = 0
            original = getattr(measuring.Measurer, place)

            def interrupted(self: object, *args: object, **kwargs: object) -> object:
                nonlocal calls
                calls += 1
                if calls == times:  # noqa: B023 - used up before the next
                    raise KeyboardInterrupt
                return original(self, *args, **kwargs)  # noqa: B023

            cut = recipe.with_values({"output": str(tmp_path / f"{place}{times}")})
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(measuring.Measurer, place, interrupted)
                run(cut, report=False)
            assert weights_of(run(cut, report=False)) == weights_of(whole), (place, times)


def rank(folder: Path) -> int:
    weights = load_file(folder / "model" / "adapter_model.safetensors")
    return {len(w) for name, w in weights.items() if "lora_A" in name}.pop()


def test_kept_adapters_stay_one_and_stacked_ones_add_up(recipe_file: Path, world: Path) -> None:
    ranks = {}
    for between in ("stack", "keep"):
        file = three_sets(recipe_file, world, between, "npo")
        ranks[between] = rank(run(load_recipe(str(file), [f"name={between}"]), report=False))
    assert ranks == {"stack": 6, "keep": 2}


def test_after_a_merge_the_whole_model_is_saved_for_an_adapter_would_not_fit_the_base(
    recipe_file: Path, world: Path
) -> None:
    folder = run(load_recipe(str(three_sets(recipe_file, world, "merge", "npo"))), report=False)
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    again = forgetting.evaluate(str(folder / "model"), data={"forget": str(world / "set0.jsonl")})
    assert not (folder / "model" / "adapter_config.json").exists()
    assert model.config.num_hidden_layers == 2
    mine = {r.id: r for r in again.records}
    theirs = {r.id: r for r in read_records(folder / "records" / "set2-after.jsonl")}
    assert all(theirs[i].score.logp == pytest.approx(r.score.logp, rel=1e-4) for i, r in mine.items())


def test_a_kept_adapter_goes_on_where_the_stage_before_left_it(recipe_file: Path, world: Path) -> None:
    recipe = load_recipe(str(three_sets(recipe_file, world, "keep", "graddiff")))
    folder = run(recipe, report=False)
    ends = [load_file(folder / "stages" / f"set{i}" / "last" / "weights.safetensors") for i in range(3)]
    assert ends[0].keys() == ends[1].keys() == ends[2].keys()
    moved = [max(float((b[k] - a[k]).abs().max()) for k in a) for a, b in pairwise(ends)]
    assert all(0 < step < 0.01 for step in moved)  # two steps at 1e-3 from the end before, not from a new start


@pytest.mark.parametrize("between", BETWEEN)
def test_every_set_is_measured_after_every_stage(recipe_file: Path, world: Path, between: str) -> None:
    folder = run(load_recipe(str(three_sets(recipe_file, world, between))), report=False)
    evaluations = json.loads((folder / "results.json").read_text())["evaluations"]
    after = {e["stage"]: {m["split"]: m for m in e["measures"] if m["name"] == "probability"} for e in evaluations}
    for stage in ("set0", "set1", "set2"):
        assert {f"set{i}-forget": after[stage][f"set{i}-forget"]["count"] for i in range(3)} == {
            "set0-forget": 4,
            "set1-forget": 4,
            "set2-forget": 4,
        }


def test_another_adapter_cannot_be_kept_in_training(recipe_file: Path, world: Path) -> None:
    file = three_sets(recipe_file, world, "keep")
    with pytest.raises(RecipeError, match="stage 'set0' keeps its adapter in training"):
        load_recipe(str(file), ["stages.set1.adapter.rank=3"])


def test_a_stage_knows_whose_adapter_it_trains(recipe_file: Path, world: Path) -> None:
    file = str(three_sets(recipe_file, world, "keep"))
    kept = load_recipe(file)
    assert [kept.adapter_of(stage) for stage in kept.stages] == ["set0", "set0", "set0"]
    mixed = load_recipe(file, ["stages.set1.between=merge"])
    assert [mixed.adapter_of(stage) for stage in mixed.stages] == ["set0", "set0", "set2"]


def test_curlora_trains_by_recipe_and_does_not_stand_beside_lora(recipe_file: Path, world: Path) -> None:
    recipe = yaml.safe_load(three_sets(recipe_file, world, "stack", "npo").read_text())
    for stage in recipe["stages"]:
        stage["adapter"] = {"kind": "curlora", "rank": 4}
    file = recipe_file.with_name("curlora.yaml")
    file.write_text(yaml.safe_dump(recipe))
    folder = run(load_recipe(str(file)), report=False)
    assert json.loads((folder / "model" / "adapter_config.json").read_text())["peft_type"] == "CURLORA"
    recipe["stages"][1]["adapter"] = {"kind": "lora", "rank": 4}
    file.write_text(yaml.safe_dump(recipe))
    with pytest.raises(RecipeError, match="LoRA and CURLoRA cannot be stacked"):
        load_recipe(str(file))
    recipe["stages"][1]["adapter"] = {"kind": "curlora", "alpha": 4}
    file.write_text(yaml.safe_dump(recipe))
    with pytest.raises(RecipeError, match=r"adapter.alpha: 4.* has no meaning for CURLoRA"):
        load_recipe(str(file))


@pytest.mark.parametrize("redact", [False, True])
def test_each_stages_set_is_paired_with_its_start(recipe_file: Path, world: Path, redact: bool) -> None:
    file = three_sets(recipe_file, world, "keep", "npo")
    folder = run(load_recipe(str(file), [f"redact={str(redact).lower()}"]), report=False)
    results = Results.load(folder)
    records = read_records(folder / "records" / "before.jsonl")
    sets = {name: {*subset.ids} for name, subset in results.subsets.items()}
    assert [len(ids) for ids in sets.values()] == [4, 4, 4] and list(sets) == [f"set{i}-forget" for i in range(3)]
    assert set().union(*sets.values()) == {r.id for r in records if r.split == "forget"}
    ends = Models.of(results)
    for name, ids in sets.items():
        found = paired(f"{name}/probability", ends.after, ends.before)
        levels = [
            {r.id: r.score.probability for r in read_records(folder / "records" / f"{point}.jsonl") if r.id in ids}
            for point in ("before", "set2-after")
        ]
        mean = sum(levels[1][i] - levels[0][i] for i in ids) / 4
        assert (found.count, found.value) == (4, pytest.approx(mean))
    rows = [json.loads(line) for line in (world / "set0.jsonl").read_text().splitlines()]
    text = (folder / "results.json").read_text()
    assert not any(str(row.get("question")) in text for row in rows)  # ids, no texts
    plain = {e.id for e in load_examples(given_source(str(world / "set0.jsonl")))}
    assert (sets["set0-forget"] == plain) is not redact
    purge(folder)
    assert not plain & {i for subset in Results.load(folder).subsets.values() for i in subset.ids}
    after = Models.of(Results.load(folder))
    assert paired("set0-forget/probability", after.after, after.before).count == 4
