"""An adapter taken off leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from transformers import LlamaConfig, LlamaForCausalLM

from forgetting.core.errors import ModelError
from forgetting.models.adapters import AdapterSpec, active_adapters, attach
from forgetting.models.adapters.remove import without

IDS = torch.tensor([[1, 2, 3, 4, 5]])


def tiny() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
    )
    return LlamaForCausalLM(config).eval()


def trained(model: LlamaForCausalLM | PeftModel, name: str) -> PeftModel:
    model = attach(model, AdapterSpec(kind="lora", rank=2), name=name, seed=3)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if f"lora_B.{name}." in key:
                parameter.normal_()
    return model.eval()


def test_the_only_adapter_taken_off_leaves_the_plain_model_bit_for_bit() -> None:
    model = tiny()
    before = model(IDS).logits
    keys = set(model.state_dict())
    adapted = trained(model, "first")
    assert not torch.equal(adapted(IDS).logits, before)
    plain = without(adapted, ("first",))
    assert not isinstance(plain, PeftModel)
    assert set(plain.state_dict()) == keys
    assert torch.equal(plain(IDS).logits, before)


def test_an_earlier_adapter_stays_active() -> None:
    model = trained(tiny(), "first")
    before = model(IDS).logits
    left = without(trained(model, "second"), ("second",))
    assert active_adapters(left) == ("first",)
    assert torch.equal(left(IDS).logits, before)


def test_an_unknown_adapter_is_named() -> None:
    with pytest.raises(ModelError, match=r"no adapter .secnd.*second"):
        without(trained(tiny(), "second"), ("secnd",))
