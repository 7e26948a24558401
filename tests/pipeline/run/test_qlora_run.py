"""QLoRA from a recipe: what may stand beside it, and that its adapter fits the whole base."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM

from forgetting.benchmarks.untrained_model import blank_model
from forgetting.core.errors import RecipeError
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: pip install '.[qlora]'"
)


def two_stages(recipe_file: Path, first: dict, second: dict, **more: object) -> Path:
    """A copy of the recipe with two stages of these adapters."""
    recipe = yaml.safe_load(recipe_file.read_text()) | more
    stage = {**recipe["stages"][0], "duration": "2 steps"}
    recipe["stages"] = [
        {**stage, "name": "one", "adapter": first.pop("adapter"), **first},
        {**stage, "name": "two", "adapter": second.pop("adapter"), **second},
    ]
    file = recipe_file.with_name("two.yaml")
    file.write_text(yaml.safe_dump(recipe))
    return file


def test_a_whole_stage_cannot_stand_beside_one_in_four_bits(recipe_file: Path) -> None:
    file = two_stages(recipe_file, {"adapter": {"kind": "qlora"}, "between": "stack"}, {"adapter": {"kind": "lora"}})
    with pytest.raises(RecipeError, match=r"stage 'two': adapter.kind is lora.*write qlora for all"):
        load_recipe(str(file))


def test_nothing_is_merged_into_four_bits(recipe_file: Path) -> None:
    file = two_stages(recipe_file, {"adapter": {"kind": "qlora"}}, {"adapter": {"kind": "qlora"}})
    with pytest.raises(RecipeError, match=r"stage 'one': between: merge would round.*write stack, keep or aside"):
        load_recipe(str(file))


@needs_bitsandbytes
def test_the_adapter_trained_in_four_bits_loads_on_the_whole_base(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    blank_model(model, [world / "forget.jsonl", world / "retain.jsonl"], hidden=64, layers=2, vocabulary=400)
    overrides = [f"model={model}", "adapter.kind=qlora", "export=both", "duration=2 steps"]
    folder = run(load_recipe(str(recipe_file), overrides), report=False)
    ids = torch.arange(1, 20)[None]
    base = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        untouched = base(ids).logits
        adapted = PeftModel.from_pretrained(base, str(folder / "model")).eval()(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(folder / "merged")(ids).logits
    torch.testing.assert_close(adapted, merged, rtol=1e-4, atol=1e-4)
    assert (adapted - untouched).abs().max() > 1e-4
