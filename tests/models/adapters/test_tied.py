"""Adapters on embedding and head, and with tokens of their own: loaded, merged and saved as PEFT computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from forgetting.core.errors import ModelError
from forgetting.models.loading import load_model, save_model
from tests.models.tiny import tiny_model, tiny_tokenizer

IDS = torch.tensor([[3, 7, 9, 20, 33, 96]])
NEW_IDS = torch.tensor([[3, 7, 97, 20, 98, 96]])
ON_ONE_MATRIX: dict[str, dict[str, Any]] = {
    "LoRA on the head": {"target_modules": ["q_proj", "lm_head"]},
    "LoRA on the embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "LoRA on both": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "one LoRA on both": {"target_modules": ["embed_tokens", "lm_head"], "ensure_weight_tying": True},
    "DoRA on the head": {"target_modules": ["lm_head"], "use_dora": True},
    "a head of its own": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "an embedding of its own": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "single tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [3, 7]},
}
WITH_NEW_TOKENS: dict[str, dict[str, Any]] = {
    "saved embedding": {"target_modules": ["q_proj"]},
    "own embedding and head": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "LoRA on the embedding": {"target_modules": ["embed_tokens"]},
    "only the new tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [97, 98]},
}


def _adapter(folder: Path, how: dict[str, Any], *, tied: bool, added: int = 0) -> torch.Tensor:
    """An adapter that PEFT saved in `folder / adapter`, with its base beside it; its logits."""
    save_model(tiny_model("llama", tied=tied), tiny_tokenizer(), folder / "base")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder / "base"), tiny_tokenizer()
    if added:
        tokenizer.add_tokens([f"new{i}" for i in range(added)])
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, **how)).eval()
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        adapted.save_pretrained(folder / "adapter")
        tokenizer.save_pretrained(folder / "adapter")
        return adapted(input_ids=NEW_IDS if added else IDS).logits


def _check(folder: Path, right: torch.Tensor, ids: torch.Tensor) -> None:
    loaded = load_model(folder / "adapter")
    save_model(loaded.model, loaded.tokenizer, folder / "merged")
    for model in (loaded.model, load_model(folder / "merged").model):
        with torch.no_grad():
            torch.testing.assert_close(model(input_ids=ids).logits, right, atol=1e-3, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ON_ONE_MATRIX.values(), ids=ON_ONE_MATRIX)
def test_merged_and_saved_it_is_what_it_was_on_a_tied_matrix(how: dict[str, Any], tmp_path: Path) -> None:
    _check(tmp_path, _adapter(tmp_path, how, tied=True), IDS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", WITH_NEW_TOKENS.values(), ids=WITH_NEW_TOKENS)
def test_tokens_that_it_was_trained_with_come_along(how: dict[str, Any], tmp_path: Path) -> None:
    _check(tmp_path, _adapter(tmp_path, how, tied=True, added=2), NEW_IDS)


@pytest.mark.filterwarnings("ignore")
def test_a_head_of_its_own_without_the_added_tokens_is_refused(tmp_path: Path) -> None:
    _check(tmp_path, _adapter(tmp_path, {"target_modules": ["q_proj"]}, tied=False, added=2), NEW_IDS)
    _adapter(tmp_path / "half", {"target_modules": ["embed_tokens"]}, tied=False, added=2)
    with pytest.raises(ModelError, match="an embedding of 99 rows, but holds no head for the added tokens"):
        load_model(tmp_path / "half" / "adapter")
