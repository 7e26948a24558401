"""LoRA starts as no change, from its seed alone, and on top of what was there."""

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.models.adapters import active_adapters, adapter_name, add_lora, linear_layers, trainable_state
from forgetting.models.adapters.lora import effective_weight
from tests.models.adapters.stages import logits, stir
from tests.models.tiny import FAMILIES, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_adapter_changes_nothing(family: str) -> None:
    model = tiny_model(family)
    before = logits(model)
    torch.testing.assert_close(
        logits(add_lora(model, name="first", rank=3, alpha=6, seed=0)), before, rtol=1e-6, atol=1e-6
    )


def test_the_seed_decides_the_start_and_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(11)
    states = [trainable_state(add_lora(tiny_model("llama"), name="x", rank=3, alpha=6, seed=s)) for s in (1, 1, 2)]
    drawn = torch.rand(3)
    torch.manual_seed(11)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_an_earlier_adapter_stays_active_and_is_frozen() -> None:
    model = add_lora(tiny_model("llama"), name="first", rank=3, alpha=6, targets="ffn", seed=0)
    stir(model)
    after_first = logits(model)
    model = add_lora(model, name="second", rank=3, alpha=6, targets="qvffn", seed=0)
    assert active_adapters(model) == ("first", "second")
    torch.testing.assert_close(logits(model), after_first, rtol=0, atol=0)
    assert all(".second." in name for name in trainable_state(model))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_weight_in_effect_is_what_the_layer_computes_with(family: str) -> None:
    model = add_lora(tiny_model(family), name="first", rank=3, alpha=6, seed=0)
    stir(model)
    for layer in linear_layers(model).values():
        weight = effective_weight(layer)
        eye = torch.eye(weight.shape[1])
        torch.testing.assert_close(layer(eye) - layer(0 * eye), weight.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("stage", "name"), [("unlearn", "unlearn"), ("train", "train-stage"), ("a.b", "a-b")])
def test_any_stage_name_can_name_an_adapter(stage: str, name: str) -> None:
    assert adapter_name(stage) == name == adapter_name(name)
    assert active_adapters(add_lora(tiny_model("llama"), name=name, rank=1, alpha=1, seed=0)) == (name,)


def test_a_name_that_is_taken_or_impossible_is_refused() -> None:
    model = add_lora(tiny_model("llama"), name="first", rank=1, alpha=1, seed=0)
    with pytest.raises(ModelError, match="has an adapter 'first' already"):
        add_lora(model, name="first", rank=1, alpha=1, seed=0)
    with pytest.raises(ModelError, match="'train' cannot name an adapter; 'train-stage' can"):
        add_lora(model, name="train", rank=1, alpha=1, seed=0)
