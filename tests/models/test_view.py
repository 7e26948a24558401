"""A view is a model with exactly its adapters, without dropout, and everything is put back afterwards."""

import pytest
import torch

from forgetting.core.errors import ModelError
from forgetting.models.adapters import active_adapters, add_lora
from forgetting.models.view import View
from tests.models.adapters.stages import logits, stir
from tests.models.tiny import tiny_model


def test_two_views_of_one_set_of_weights_are_two_models() -> None:
    model = tiny_model("llama")
    before = logits(model)
    model = add_lora(model, name="one", rank=2, alpha=4, dropout=0.5, seed=0)
    stir(model)
    after = logits(model)
    model.train()
    for view, expected in ((View(model), before), (View(model, ("one",)), after)):
        with view.active() as seen:
            assert seen is model and not model.training
            torch.testing.assert_close(logits(seen), expected, rtol=0, atol=0)
    assert model.training and active_adapters(model) == ("one",)
    assert not torch.equal(before, after)


def test_an_adapter_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError, match="no adapter 'one'"), View(tiny_model("llama"), ("one",)).active():
        pass
