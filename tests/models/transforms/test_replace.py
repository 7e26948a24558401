"""Another model's weights in the place of the run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.transforms import Given, build_transform
from tests.models.tiny import tiny_model, tiny_tokenizer


def saved(folder: Path, family: str = "llama", **settings: Any) -> Path:
    tiny_model(family, **settings).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_the_weights_are_those_of_the_other_model_in_the_precision_of_the_own(tmp_path: Path) -> None:
    other = saved(tmp_path / "other", seed=1)
    own = tiny_model("llama", seed=0).to(torch.bfloat16)
    whole = build_transform("replace", {"model": str(other)}).apply(own, Given(0))
    expected = dict(tiny_model("llama", seed=1).named_parameters())
    for name, weight in whole.named_parameters():
        assert weight.dtype == torch.bfloat16 and torch.equal(weight, expected[name].to(torch.bfloat16))


def test_adapters_of_the_own_model_are_gone(tmp_path: Path) -> None:
    adapted = attach(tiny_model("llama", seed=0), AdapterSpec(rank=2), name="one", seed=0)
    whole = build_transform("replace", {"model": str(saved(tmp_path / "other", seed=1))}).apply(adapted, Given(0))
    assert not isinstance(whole, PeftModel)
    assert {n for n, _ in whole.named_parameters()} == {n for n, _ in tiny_model("llama").named_parameters()}


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_a_model_of_another_shape_is_refused_in_a_line(tmp_path: Path, family: str) -> None:
    other = saved(tmp_path / "other", family)
    with pytest.raises(
        ModelError, match=r"not of the shape of the run's model \(\d+ differ, first .*same architecture"
    ):
        build_transform("replace", {"model": str(other)}).apply(tiny_model("llama"), Given(0))


def test_a_model_must_be_named() -> None:
    with pytest.raises(RecipeError, match="replace: no model is named"):
        build_transform("replace")
