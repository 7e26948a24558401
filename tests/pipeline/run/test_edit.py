"""UniErase as a recipe: a new token's row, then the edit; plain transformers loads the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetting.core.errors import RecipeError
from forgetting.core.record import read_records
from forgetting.pipeline.estimate.estimate import estimate
from forgetting.pipeline.run.plan import planned
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe

TOKEN: dict[str, Any] = {
    "name": "token",
    "method": {"name": "idk", "retain": "none"},
    "prefix": "<idk>",
    "adapter": {"kind": "rows", "tokens": ["<idk>"]},
    "learning_rate": 0.05,
    "batch_size": 6,
    "duration": "10 steps",
    "checkpoint_every": "5 steps",
    "evaluate_every": None,
    "weight_decay": 0.1,
}
EDIT = {
    "name": "edit",
    "transform": {"name": "edit", "layers": [0, 1], "share": 0.2, "damping": 1e-3, "steps": 100, "reach": 20},
}


def written(recipe_file: Path, *stages: dict[str, Any]) -> Path:
    recipe = yaml.safe_load(recipe_file.read_text())
    file = recipe_file.with_name("edit.yaml")
    file.write_text(yaml.safe_dump({**recipe, "new_tokens": ["<idk>"], "stages": list(stages)}))
    return file


def test_the_row_alone_is_trained_and_the_edited_model_is_loaded_by_transformers(
    recipe_file: Path, world: Path
) -> None:
    folder = run(load_recipe(str(written(recipe_file, TOKEN, EDIT))), report=False)
    start, token = (load_file(f / "model.safetensors") for f in (world / "model", folder / "stages/token/model"))
    for name, value in start.items():
        if "embed" in name or "lm_head" in name:
            assert token[name].shape[0] == value.shape[0] + 1 and torch.equal(token[name][:-1], value.float())
        else:
            assert torch.equal(token[name], value.float())
    mean, row = start["model.embed_tokens.weight"].float().mean(0), token["model.embed_tokens.weight"][-1]
    assert float((row - mean).abs().min()) > 0.01  # ten steps of AdamW at 0.05
    model, tokenizer = (kind.from_pretrained(folder / "model") for kind in (AutoModelForCausalLM, AutoTokenizer))
    new = tokenizer.convert_tokens_to_ids("<idk>")
    records = [r for r in read_records(folder / "records" / "edit-after.jsonl") if r.split == "forget"]
    leads = 0
    for record in records:
        prompt = f"Question: {record.prompt}\nAnswer: "
        ids = tokenizer(prompt + record.answer, return_tensors="pt")["input_ids"]
        ids = torch.cat([ids, torch.tensor([[tokenizer.eos_token_id]])], 1)
        with torch.no_grad():
            logp = model(ids).logits[0].log_softmax(-1)
        begin = ids.shape[1] - record.score.tokens
        own = sum(float(logp[place - 1, ids[0, place]]) for place in range(begin, ids.shape[1]))
        assert own == pytest.approx(record.score.logp, rel=1e-4)
        leads += int(logp[begin - 1].argmax() == new)
        assert "<idk>" not in record.generation
    assert leads == len(records) == 12


def test_it_is_resumed_and_estimated(recipe_file: Path) -> None:
    recipe = load_recipe(str(written(recipe_file, TOKEN)))
    expected = estimate(planned(recipe).prepared)
    assert expected.disk["checkpoints"] < 10_000 < expected.disk["the model"]  # a row; a whole model
    folder = run(recipe, report=False)
    assert not (folder / "model" / "adapter_config.json").exists()
    result = json.loads((folder / "stages/token/result.json").read_text())
    assert (result["adapter"], result["trainable"]) == ("the rows of <idk>", 32)
    before = (folder / "model" / "model.safetensors").read_bytes()
    for file in (folder / "results.json", folder / "stages/token/result.json"):
        file.unlink()
    assert (run(recipe, report=False) / "model" / "model.safetensors").read_bytes() == before


def test_rows_are_written_into_the_model(recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match="between: trained rows are written into the model"):
        load_recipe(str(written(recipe_file, TOKEN | {"between": "stack"}, EDIT)))
