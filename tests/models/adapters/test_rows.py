"""Rows of single tokens: they alone are trained, and a merged model is plain transformers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters import AdapterSpec, adapter_state, attach, merged
from forgetting.models.loading import load_model, save_model
from forgetting.models.new_tokens import with_new_tokens
from tests.models.tiny import tiny_model, tiny_tokenizer

IDS = torch.tensor([[3, 7, 41, 60, 33, 96]])
SPEC = AdapterSpec(kind="rows", tokens=("w41", "w60"))


@pytest.mark.parametrize("tied", [True, False])
def test_a_step_changes_the_rows_to_the_bit_alone_and_the_merged_model_loads(tied: bool, tmp_path: Path) -> None:
    tokenizer, plain = tiny_tokenizer(), tiny_model("llama", tied=tied)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    model = attach(plain, SPEC, name="token", seed=0, tokenizer=tokenizer)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert [tuple(p.shape) for p in trained.values()] == [(2, 32)]
    assert set(adapter_state(model)) == set(trained)
    optimiser = torch.optim.AdamW(trained.values(), lr=0.1, weight_decay=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        model(IDS, labels=IDS).loss.backward()
        optimiser.step()
    with torch.no_grad():
        logits = model(IDS).logits
    whole = merged(model)
    after, rows = whole.state_dict(), [41, 60]
    for name, value in before.items():
        if name == "model.embed_tokens.weight" or (tied and name == "lm_head.weight"):
            same = torch.ones(97, dtype=torch.bool).index_fill(0, torch.tensor(rows), False)
            assert torch.equal(after[name][same], value[same])
            assert not (after[name][rows] == value[rows]).any()
        else:
            assert torch.equal(after[name], value)
    assert (whole.get_input_embeddings().weight is whole.get_output_embeddings().weight) is tied
    save_model(whole, tokenizer, tmp_path / "model")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        torch.testing.assert_close(loaded(IDS).logits, logits, rtol=1e-4, atol=2e-5)


def test_a_token_that_the_tokenizer_does_not_know_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no token '<idk>'.*new_tokens: \['<idk>'\]"):
        attach(tiny_model("llama"), AdapterSpec(kind="rows", tokens=("<idk>",)), name="a", seed=0, tokenizer=None)
    for values in ({"kind": "rows"}, {"tokens": ("w1",)}):
        with pytest.raises(RecipeError, match=r"adapter.tokens: are those of kind: rows"):
            AdapterSpec(**values)


@pytest.mark.parametrize("tied", [True, False])
def test_a_new_token_gets_the_mean_of_all_rows_and_others_stay(tied: bool, tmp_path: Path) -> None:
    save_model(tiny_model("llama", tied=tied), tiny_tokenizer(), tmp_path / "model")
    loaded, before = load_model(tmp_path / "model"), tiny_model("llama", tied=tied)
    found = with_new_tokens(loaded, ["<idk>", "<idk>"])
    assert found.tokenizer("<idk>", add_special_tokens=False)["input_ids"] == [97]
    assert found.tokenizer.decode([97, 5], skip_special_tokens=True) == found.tokenizer.decode([5])
    for old, new in (
        (before.get_input_embeddings(), found.model.get_input_embeddings()),
        (before.get_output_embeddings(), found.model.get_output_embeddings()),
    ):
        assert new.weight.shape[0] == 98 and torch.equal(new.weight[:97], old.weight)
        torch.testing.assert_close(new.weight[97], old.weight.mean(0))
    assert found.model.name_or_path == ""  # what it is now is stored nowhere
    assert with_new_tokens(found, ["<idk>"]) is found


@pytest.mark.parametrize("more", [{"rank": 4}, {"alpha": 8.0}, {"targets": "qv"}, {"dropout": 0.1}])
def test_values_of_a_low_rank_adapter_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="kind: rows has tokens and nothing else"):
        AdapterSpec(kind="rows", tokens=("w41",), **more)
