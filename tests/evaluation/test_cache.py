"""What goes on from another row's keys and values equals what is run by itself; models that cannot are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache

from forgetting.evaluation.cache import Row, behind, decode, shares_cache, states
from forgetting.models.head import head_of
from tests.models.tiny import FAMILIES, tiny_model

SMALL_WINDOW = {family: {"sliding_window": 6} for family in ("gemma2", "gemma3", "mistral")}
TEXT = torch.randint(3, 97, (3, 14), generator=torch.Generator().manual_seed(2))
MORE = torch.randint(3, 97, (4, 5), generator=torch.Generator().manual_seed(3))


def model_of(family: str) -> PreTrainedModel:
    return tiny_model(family, dtype=torch.float64, **SMALL_WINDOW.get(family, {}))


def other_model(name: str, **config: Any) -> PreTrainedModel:
    """A random model of a family that `tiny_model` does not have."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48, "vocab_size": 97}
    heads = {} if name == "Mamba" else {"num_attention_heads": 4, "num_key_value_heads": 2}
    built = getattr(transformers, f"{name}Config")(**{**sizes, **heads, "pad_token_id": 0, "eos_token_id": 2, **config})
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(built).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double()


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_tokens_behind_a_shared_prefix_see_what_they_see_in_a_row_of_their_own(family: str) -> None:
    model = model_of(family)
    head, text, members, length = head_of(model), DynamicCache(), [2, 0, 0, 1], 9
    states(model, head, TEXT, text)
    found = states(model, head, MORE, behind(text, members, length, MORE.shape[1]))
    whole = torch.cat([TEXT[members, :length], MORE], 1)
    expected = states(model, head, whole, DynamicCache())[:, length:]
    single = 1e-5 if family in ("gpt_neo", "gemma2") else 1e-6  # eager attention takes its softmax in fp32
    torch.testing.assert_close(found, expected, rtol=single, atol=single)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [0, 2])
def test_rows_are_written_to_their_stop_or_their_first_end(family: str, size: int) -> None:
    model = model_of(family)
    head, text = head_of(model), DynamicCache()
    with torch.no_grad():
        states(model, head, TEXT, text)
    rows = [Row(0, 5, 7, 12), Row(1, 3, 8, 30), Row(2, 14, 9, 15), Row(0, 13, 10, 40), Row(1, 5, 11, 26)]
    free = {row: naive(model, row) for row in rows}
    assert dict(decode(model, head, text, rows, size=size)) == free
    ends = {free[rows[1]][4], free[rows[3]][9], 9}
    found = dict(decode(model, head, text, rows, ended=lambda written: written[-1] in ends, size=size))
    assert found == {r: cut(t, ends) for r, t in free.items()}


@torch.no_grad()
def naive(model: PreTrainedModel, row: Row) -> tuple[int, ...]:
    ids = [*TEXT[row.source, : row.start].tolist(), row.token]
    while len(ids) < row.stop:
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return tuple(ids[row.start :])


def cut(tokens: tuple[int, ...], ends: set[int]) -> tuple[int, ...]:
    return tokens[: next((k for k, token in enumerate(tokens, 1) if token in ends), len(tokens))]


def test_no_rows_write_nothing() -> None:
    assert list(decode(model_of("llama"), head_of(model_of("llama")), DynamicCache(), [])) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_common_families_share_their_cache(family: str) -> None:
    assert shares_cache(model_of(family), 100)


LINEAR = {
    "head_dim": 8,
    "num_hidden_layers": 4,
    "linear_num_value_heads": 2,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Mamba", {}),
        ("RecurrentGemma", {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8}),
        ("Lfm2", {"layer_types": ["conv", "full_attention"]}),
        ("Qwen3Next", LINEAR),
    ],
)
def test_a_model_that_keeps_a_state_does_not(name: str, config: dict[str, Any]) -> None:
    assert not shares_cache(other_model(name, **config), 10)


def test_nor_does_one_that_fills_no_cache() -> None:
    config = transformers.OpenAIGPTConfig(vocab_size=97, n_embd=32, n_layer=1, n_head=2, n_positions=64)
    assert not shares_cache(transformers.OpenAIGPTLMHeadModel(config), 10)


@pytest.mark.parametrize(("longest", "shared"), [(128, True), (129, False)])
def test_nor_one_whose_early_keys_turn_with_the_length(longest: int, shared: bool) -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    assert shares_cache(tiny_model("llama", rope_parameters=rope), longest) == shared
