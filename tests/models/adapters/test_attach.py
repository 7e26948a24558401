"""One entry makes a model ready for a stage, fresh or from a checkpoint."""

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.core.errors import RunError
from forgetting.models.adapters import AdapterSpec, active_adapters, adapter_state, attach, trainable_state
from forgetting.models.adapters.fila import Fila
from tests.models.adapters.stages import logits, stir, worst
from tests.models.adapters.test_fila import importance_of
from tests.models.tiny import tiny_model

FILA = AdapterSpec(rank=3, init=Fila())


def two_stages(*, states: list[dict[str, torch.Tensor]] | None = None) -> PeftModel:
    """LoRA, then FILA on top; from saved states instead of trained where given."""
    first, second = states or (None, None)
    model = attach(tiny_model("llama"), AdapterSpec(rank=2, targets="qv"), name="first", seed=1, state=first)
    if states is None:
        stir(model)
    importance = None if states else importance_of(model, "all")
    model = attach(model, FILA, name="second", seed=2, prepared=importance, state=second)
    if states is None:
        stir(model)
    return model


def copied(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.items()}


def test_a_stage_goes_on_from_its_saved_adapters() -> None:
    model = two_stages()
    state = copied(adapter_state(model))
    first = {name: value for name, value in state.items() if ".first." in name}
    resumed = two_stages(states=[first, state])
    assert active_adapters(resumed) == ("first", "second", "second-start")
    torch.testing.assert_close(logits(resumed), logits(model), rtol=0, atol=0)
    assert set(trainable_state(resumed)) == set(trainable_state(model))
    stir(model), stir(resumed)
    torch.testing.assert_close(logits(resumed), logits(model), rtol=0, atol=0)


def test_a_state_without_the_frozen_half_is_refused() -> None:
    state = copied(trainable_state(two_stages()))
    model = attach(tiny_model("llama"), AdapterSpec(rank=2, targets="qv"), name="first", seed=1)
    with pytest.raises(RunError, match="the saved weights belong to another adapter: the checkpoint lacks"):
        attach(model, FILA, name="second", seed=2, state=state)


def test_a_state_of_another_rank_is_refused() -> None:
    state = copied(adapter_state(attach(tiny_model("llama"), AdapterSpec(rank=2), name="first", seed=1)))
    with pytest.raises(RunError, match="not in this model or has another shape"):
        attach(tiny_model("llama"), AdapterSpec(rank=3), name="first", seed=1, state=state)


def test_full_tuning_trains_every_weight_of_the_model_as_it_was() -> None:
    model = two_stages()
    before = logits(model)
    model = attach(model, AdapterSpec(kind="full"), name="tune", seed=0)
    assert isinstance(model, PreTrainedModel) and not isinstance(model, PeftModel)
    assert worst(logits(model), before) <= 1e-5
    assert all(p.requires_grad for p in model.parameters())
    state = copied(trainable_state(model))
    assert len(state) == len(list(model.parameters()))
    stir(model)
    restored = attach(tiny_model("llama", seed=9), AdapterSpec(kind="full"), name="tune", seed=0, state=state)
    assert worst(logits(restored), before) <= 1e-5


def test_tied_weights_stand_in_the_state_once() -> None:
    model = attach(tiny_model("gpt2", tied=True), AdapterSpec(kind="full"), name="tune", seed=0)
    assert "lm_head.weight" not in trainable_state(model)
    assert "transformer.wte.weight" in trainable_state(model)
