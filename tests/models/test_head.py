"""The head of every known family gives the model's own logits; what is not known takes the plain path."""

from __future__ import annotations

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from forgetting.models.head import IDENTITY, KNOWN_FAMILIES, Head, causal_model, head_of, supervised_hidden
from tests.models.tiny import FAMILIES, tiny_model

IDS = torch.randint(3, 97, (3, 11), generator=torch.Generator().manual_seed(5))
MASK = torch.ones_like(IDS)
MASK[0, 7:] = MASK[2, 4:] = 0
SOURCES = torch.tensor([0, 3, 5, 11, 14, 15, 20, 22, 24])


def more_families(name: str) -> PreTrainedModel:
    """Families that are known beside those of `tiny_model`, and some that are not."""
    keys = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "vocab_size": 97,
        "pad_token_id": 0,
        "attn_implementation": "eager",
    }
    extra = {
        "Gemma": {"head_dim": 8},
        "OPT": {"ffn_dim": 48, "word_embed_proj_dim": 32},
        "Cohere2": {"logit_scale": 0.5},
    }
    config = getattr(transformers, f"{name}Config")(**{**keys, **extra.get(name, {})})
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def both_ways(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    head = head_of(model)
    with torch.no_grad():
        ours = head.logits(supervised_hidden(model, head, IDS, MASK, SOURCES))
        theirs = model(input_ids=IDS, attention_mask=MASK).logits.flatten(0, 1)[SOURCES]
    return ours, theirs


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_gives_the_model_s_own_logits(family: str, tied: bool) -> None:
    model = tiny_model(family, tied=tied)
    assert head_of(model).weight_VD is model.get_output_embeddings().weight
    ours, theirs = both_ways(model)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("name", ["Gemma", "SmolLM3"])
def test_the_other_known_families(name: str) -> None:
    model = more_families(name)
    assert model.config.model_type in KNOWN_FAMILIES and head_of(model) is not IDENTITY
    ours, theirs = both_ways(model)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_every_known_family_is_compared_here() -> None:
    compared = {tiny_model(f).config.model_type for f in FAMILIES} | {"gemma", "smollm3"}
    assert compared == KNOWN_FAMILIES


@pytest.mark.parametrize("name", ["OPT", "Cohere2"])
def test_an_unknown_family_takes_the_plain_path(name: str) -> None:
    model = more_families(name)
    assert head_of(model) is IDENTITY
    ours, theirs = both_ways(model)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("gemma2", {"final_logit_softcapping": 5.0}),
        ("gemma2", {"final_logit_softcapping": None}),
        ("gemma3", {"final_logit_softcapping": 7.0}),
        ("cohere", {"logit_scale": 3.0}),
        ("granite", {"logits_scaling": 0.5}),
    ],
)
def test_the_config_s_scale_and_cap_are_honoured(family: str, config: dict) -> None:
    ours, theirs = both_ways(tiny_model(family, **config))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_bias_put_on_a_head_counts(family: str) -> None:
    model = tiny_model(family, tied=False)
    model.lm_head.bias = nn.Parameter(torch.randn(97))
    ours, theirs = both_ways(model)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_resized_vocabulary_still_agrees(tied: bool) -> None:
    model = tiny_model("llama", tied=tied)
    model.resize_token_embeddings(101)
    ours, theirs = both_ways(model)
    assert ours.shape == (len(SOURCES), 101)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("how", ["target_modules", "modules_to_save"])
def test_a_head_that_an_adapter_changes_takes_the_plain_path(how: str) -> None:
    model = tiny_model("llama", tied=False)
    targets = ["q_proj", "lm_head"] if how == "target_modules" else ["q_proj"]
    config = LoraConfig(r=2, target_modules=targets, modules_to_save=["lm_head"] if how != "target_modules" else None)
    adapted = get_peft_model(model, config).eval()
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    assert head_of(adapted) is IDENTITY and causal_model(adapted) is adapted.get_base_model()
    ours, theirs = both_ways(adapted)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_an_adapter_elsewhere_leaves_the_head() -> None:
    adapted = get_peft_model(tiny_model("llama"), LoraConfig(r=2, target_modules=["v_proj"], init_lora_weights=False))
    head = head_of(adapted.eval())
    assert head.weight_VD is adapted.get_base_model().lm_head.weight
    ours, theirs = both_ways(adapted)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_logits_are_fp32_whatever_the_model_s_precision() -> None:
    hidden = torch.randn(4, 8, dtype=torch.bfloat16)
    assert Head(torch.randn(5, 8, dtype=torch.bfloat16), scale=0.5).logits(hidden).dtype == torch.float32
    assert IDENTITY.logits(hidden).dtype == torch.float32
    assert Head(torch.randn(5, 8).double()).logits(hidden.double()).dtype == torch.float64


def test_a_frozen_copy_does_not_follow_the_optimiser() -> None:
    head = Head(nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3)), 0.5, 9.0)
    copy = head.frozen_copy()
    with torch.no_grad():
        head.weight_VD.zero_()  # type: ignore[union-attr]
        head.bias_V.zero_()  # type: ignore[union-attr]
    assert copy.weight_VD is not None and copy.bias_V is not None
    assert copy.weight_VD.sum() == 6 and copy.bias_V.sum() == 3 and not copy.weight_VD.requires_grad
    assert (copy.scale, copy.softcap) == (0.5, 9.0) and IDENTITY.frozen_copy() == IDENTITY
