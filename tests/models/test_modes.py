"""A model comes back in the modes it was in."""

from __future__ import annotations

import pytest

from forgetting.models.modes import in_evaluation_mode
from tests.models.tiny import tiny_model


def test_evaluation_mode_ends_with_an_exception() -> None:
    model = tiny_model("llama").train()
    with pytest.raises(KeyError), in_evaluation_mode(model):
        assert not model.training
        raise KeyError
    assert model.training


def test_modules_in_unlike_modes_are_put_back_one_by_one() -> None:
    model = tiny_model("llama").train()
    model.base_model.eval()
    before = [module.training for module in model.modules()]
    with in_evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before and len(set(before)) == 2
