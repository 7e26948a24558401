"""Whatever is changed of a model, or of the random state, is noticed and named."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from forgetting.models.adapters import add_lora
from forgetting.models.adapters.active import activate
from forgetting.models.unchanged import Snapshot
from tests.models.adapters.stages import logits
from tests.models.tiny import tiny_model


@pytest.fixture
def model() -> nn.Module:
    return add_lora(tiny_model("llama"), name="one", rank=2, alpha=4, seed=0).eval()


def smallest_step(model: nn.Module) -> None:
    weight = next(model.parameters()).data.view(-1)
    weight[3] = torch.nextafter(weight[3], torch.tensor(1e9))


def swap(model: nn.Module) -> None:
    rows = next(model.parameters()).data
    rows[[4, 5]] = rows[[5, 4]].clone()


def leave_gradients(model: nn.Module) -> None:
    model(input_ids=torch.arange(5, 9)[None]).logits.sum().backward()


CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "the weight 'base_model.model.model.embed_tokens.weight'": smallest_step,
    "the mode of the model": lambda m: m.train(),
    "whether 'base_model.model.lm_head.weight' trains": lambda m: m.get_base_model().lm_head.requires_grad_(True),
    "the gradient of 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.one.weight'": leave_gradients,
    "the hooks of 'base_model.model.model.layers.1'": lambda m: (
        m.get_base_model().model.layers[1].register_forward_hook(lambda *a: None)
    ),
    "the active adapters": lambda m: activate(m, ()),
    "the random state of torch": lambda m: torch.rand(1),
    "the random state of Python": lambda m: random.random(),
    "the random state of numpy": lambda m: np.random.rand(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_named(name: str, model: nn.Module) -> None:
    before = Snapshot.of(model)
    CHANGES[name](model)
    assert before.changed(model) == name


def test_rows_that_change_places_are_a_change(model: nn.Module) -> None:
    before = Snapshot.of(model)
    swap(model)
    assert str(before.changed(model)).startswith("the weight")


def test_what_is_put_back_is_no_change(model: nn.Module) -> None:
    before = Snapshot.of(model)
    logits(model)
    handle = next(model.children()).register_forward_hook(lambda *a: None)
    handle.remove()
    model.train()
    model.eval()
    swap(model)
    swap(model)
    assert before.changed(model) is None


def test_an_adapter_that_was_added_is_noticed() -> None:
    model = tiny_model("llama")
    before = Snapshot.of(model)
    assert before.changed(add_lora(model, name="two", rank=2, alpha=4, seed=0)) is not None
