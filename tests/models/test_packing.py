"""Examples that share a row do not see each other, or the model is found out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from forgetting.core.batch import Batch
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.head import head_of, supervised_hidden
from forgetting.models.packing import why_padded
from tests.models.tiny import FAMILIES, tiny_model

_SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 97, "pad_token_id": 0}
_HEADS: dict[str, Any] = {"num_attention_heads": 4, "intermediate_size": 48}

WINDOWED = ("gemma2", "gemma3", "mistral")
PADDED: dict[str, tuple[str, dict[str, Any]]] = {
    # learned positions, which are not told to the mask
    "opt": ("OPT", {**_SMALL, "num_attention_heads": 4, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    # distances instead of positions
    "bloom": ("Bloom", {**_SMALL, "n_head": 4}),
    "falcon": ("Falcon", {**_SMALL, "num_attention_heads": 4, "alibi": True}),
    "falcon, rotary": ("Falcon", {**_SMALL, "num_attention_heads": 4}),
    # a state that goes through the row
    "mamba": ("Mamba", {**_SMALL, "state_size": 4}),
    "rwkv": ("Rwkv", {**_SMALL, "attention_hidden_size": 32}),
    "recurrent_gemma": ("RecurrentGemma", {**_SMALL, **_HEADS, "lru_width": 32, "attention_window_size": 4}),
    "qwen3_next": ("Qwen3Next", {**_SMALL, **_HEADS, "num_key_value_heads": 2}),
}


def built(name: str, keys: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**keys))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def batches(*lengths: int) -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(1)
    rows = [
        Encoded("", tuple(torch.randint(3, 97, (n,), generator=generator).tolist()), (0.0,) + (1.0,) * (n - 1))
        for n in lengths
    ]
    data = {"train": list(enumerate(rows))}
    return collate(data, pad_id=0), collate(data, pad_id=0, packed=True)


def hidden(model: nn.Module, batch: Batch) -> Tensor:
    head = head_of(model)
    return supervised_hidden(
        model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N, batch.position_ids_BT
    )


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_known_families_pack(family: str, attention: str) -> None:
    if attention == "sdpa" and family in ("gemma2", "gpt_neo"):
        pytest.skip("the family has no such attention")
    windows = {"sliding_window": 4} if family in WINDOWED else {}
    model = tiny_model(family, attn_implementation=attention, **windows)
    assert why_padded(model) is None
    padded, packed = batches(17, 9, 2, 6, 11, 3)
    assert packed.input_ids_BT.shape == (3, 17) and packed.position_ids_BT is not None
    with torch.no_grad():
        expected, found = hidden(model, padded), hidden(model, packed)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("family", list(PADDED))
def test_a_family_that_cannot_pack_is_found_out(family: str) -> None:
    why = why_padded(built(*PADDED[family]))
    assert why is not None and why.startswith(family.split(",")[0]) and "\n" not in why


def test_rows_may_be_longer_than_the_positions_that_a_model_has() -> None:
    model = tiny_model("gpt2", n_positions=40)
    padded, packed = batches(40, 25, 15)
    names = ("input_ids_BT", "attention_mask_BT", "segment_ids_BT", "position_ids_BT")
    wide = replace(packed, **{name: getattr(packed, name).view(1, 80) for name in names})
    with torch.no_grad():
        torch.testing.assert_close(hidden(model, wide), hidden(model, padded), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_rounding_is_no_objection_and_a_leak_is_one_in_any_precision(dtype: torch.dtype) -> None:
    assert why_padded(tiny_model("llama", dtype=dtype)) is None
    assert why_padded(built(*PADDED["opt"]).to(dtype)) is not None


def test_an_adapter_and_dropout_are_no_objection_and_the_model_stays_as_it_was() -> None:
    adapted = get_peft_model(
        tiny_model("gpt2", resid_pdrop=0.5), LoraConfig(r=2, target_modules=["c_attn"], init_lora_weights=False)
    ).train()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    assert why_padded(adapted) is None
    assert torch.equal(torch.rand(3), expected) and all(module.training for module in adapted.modules())


def test_a_model_that_takes_no_positions_is_said_to() -> None:
    model = tiny_model("llama")
    forward = model.model.forward

    def plain(input_ids: Tensor, attention_mask: Tensor | None, use_cache: bool) -> Any:
        return forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    model.model.forward = plain  # type: ignore[method-assign]
    why = why_padded(model)
    assert why is not None and why.startswith("llama takes no packed rows (") and "position_ids" in why


def _flash(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keys: Any) -> Any:
    """What transformers makes of flash attention: padding from a 2-D mask; packed rows from positions, of one row."""
    rows, length = query.shape[0], query.shape[2]
    sees = torch.ones(length, length, dtype=torch.bool).tril().expand(rows, 1, -1, -1)
    if mask is not None:
        sees = sees & mask[:, None, None, :].bool()
    elif rows == 1:
        sequence = (keys["position_ids"] == 0).cumsum(-1)
        sees = sees & (sequence[:, None, :, None] == sequence[:, None, None, :])
    out = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=sees, scale=keys["scaling"], enable_gqa=True
    )
    return out.transpose(1, 2).contiguous(), None


def test_flash_attention_is_given_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flash_attention_2", _flash)
    model = tiny_model("llama")
    model.config._attn_implementation = "flash_attention_2"
    seen: list[tuple[int, ...]] = []
    model.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    assert why_padded(model) is None
    assert seen == [(3, 7), (1, 14)]
