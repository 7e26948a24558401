"""A decoder block's output is what the model itself reports as its hidden state, in every family."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.hidden_states import decoder_blocks, states_kept
from tests.models.tiny import FAMILIES, tiny_model

IDS = torch.tensor([[5, 9, 3, 44, 7], [8, 8, 60, 2, 1]])


def _opt() -> nn.Module:
    sizes = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "dropout": 0.0}
    config = transformers.OPTConfig(vocab_size=97, max_position_embeddings=64, word_embed_proj_dim=32, **sizes)
    return transformers.OPTForCausalLM(config).eval()


@pytest.mark.parametrize("family", [*FAMILIES, "opt"])
def test_the_first_block_s_output_is_the_model_s_second_hidden_state(family: str) -> None:
    model = _opt() if family == "opt" else tiny_model(family)
    with states_kept(model, (0, 1)) as kept:
        theirs = model(IDS, output_hidden_states=True).hidden_states
    assert set(kept) == {0, 1} and kept[0].requires_grad
    assert torch.equal(kept[0], theirs[1].flatten(0, 1))


def test_the_last_block_s_output_is_what_the_final_norm_is_given() -> None:
    model = tiny_model("llama")
    with states_kept(model, (1,)) as kept:
        final = model.model(IDS).last_hidden_state
    assert torch.equal(model.model.norm(kept[1]), final.flatten(0, 1))


def test_nothing_is_kept_outside_and_no_hook_stays() -> None:
    model = attach(tiny_model("llama"), AdapterSpec(rank=2), name="unlearn", seed=0)
    with states_kept(model, (0,)) as kept:
        pass
    model(IDS)
    assert kept == {}
    with states_kept(model, ()) as none:
        model(IDS)
    assert none == {}


def test_a_layer_that_is_not_there_is_refused_with_what_there_is() -> None:
    with pytest.raises(RecipeError, match="layer 7: the model has 2 decoder blocks; write a layer from 0 to 1"):
        decoder_blocks(tiny_model("gpt2"), (0, 7))


def test_a_model_without_a_list_of_blocks_is_refused() -> None:
    model = tiny_model("llama")
    model.config.num_hidden_layers = 5
    with pytest.raises(ModelError, match="the decoder blocks of a llama model cannot be found"):
        decoder_blocks(model, (0,))
    assert decoder_blocks(model, ()) == {}
