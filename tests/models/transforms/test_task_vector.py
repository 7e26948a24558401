"""The task vector of what was taught is subtracted from what was before."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.transforms import Given, build_transform
from tests.models.tiny import tiny_model


def taught(before: PreTrainedModel) -> PreTrainedModel:
    after = copy.deepcopy(before)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in after.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return after


@pytest.mark.parametrize("alpha", [0, 1.0, 2.5])
def test_every_parameter_moves_away_from_what_was_taught_and_a_tied_one_once(alpha: float) -> None:
    before = tiny_model("llama", tied=True, dtype=torch.float64)
    after = taught(before)
    plain, moved = dict(before.named_parameters()), {n: p.detach().clone() for n, p in after.named_parameters()}
    found = build_transform("task_vector", {"alpha": alpha}).apply(after, Given(0, reference=before))
    for name, parameter in found.named_parameters():
        expected = plain[name] - alpha * (moved[name] - plain[name])
        assert torch.allclose(parameter, expected, rtol=0, atol=1e-14)
    assert found.lm_head.weight is found.model.embed_tokens.weight


def test_of_a_lora_it_is_the_adapter_with_the_opposite_sign() -> None:
    before = tiny_model("llama")
    adapted = attach(copy.deepcopy(before), AdapterSpec(rank=2), name="a", seed=0)
    torch.manual_seed(0)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    opposite = copy.deepcopy(adapted)
    for name, parameter in opposite.named_parameters():
        if "lora_B" in name:
            parameter.data.neg_()
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        found = build_transform("task_vector").apply(adapted, Given(0, reference=before))
        assert torch.allclose(found(ids).logits, opposite(ids).logits, atol=1e-5)


def test_bf16_is_rounded_once() -> None:
    before = tiny_model("llama").bfloat16()
    after = taught(before)
    name, old = next(iter(before.named_parameters()))
    new = dict(after.named_parameters())[name].detach().clone()
    found = build_transform("task_vector", {"alpha": 0.3}).apply(after, Given(0, reference=before))
    exact = old.float() - 0.3 * (new.float() - old.float())
    assert torch.equal(dict(found.named_parameters())[name], exact.bfloat16())


def test_another_model_and_a_value_without_meaning_are_named() -> None:
    with pytest.raises(ModelError, match="the reference has other weights than the model, first "):
        build_transform("task_vector").apply(tiny_model("llama"), Given(0, reference=tiny_model("gpt2")))
    with pytest.raises(ModelError, match="no reference was given"):
        build_transform("task_vector").apply(tiny_model("llama"), Given(0))
    with pytest.raises(RecipeError, match="task_vector: alpha is 'much'; it must be a number"):
        build_transform("task_vector", {"alpha": "much"})
