"""A view shows the model with exactly the named adapters, and leaves it as it was."""

import pytest
import torch
from peft import PeftModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters import active_adapters, adapters_active, add_lora
from tests.models.adapters.stages import logits, stir
from tests.models.tiny import tiny_model


@pytest.fixture
def stages() -> tuple[PeftModel, dict[tuple[str, ...], torch.Tensor]]:
    """A model after two LoRA stages on different matrices, and its logits before and between them."""
    model = tiny_model("llama")
    seen = {(): logits(model)}
    model = add_lora(model, name="first", rank=4, alpha=8, targets="qv", seed=1)
    stir(model)
    seen[("first",)] = logits(model)
    model = add_lora(model, name="second", rank=2, alpha=2, targets="all", seed=2)
    stir(model)
    seen[("first", "second")] = logits(model)
    return model, seen


def test_each_earlier_stage_can_be_seen_again(stages: tuple) -> None:
    model, seen = stages
    assert len({float(value.sum()) for value in seen.values()}) == 3
    for names, expected in seen.items():
        with adapters_active(model, names):
            assert active_adapters(model) == names
            torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)
    torch.testing.assert_close(logits(model), seen[("first", "second")], rtol=0, atol=0)


def test_a_view_touches_neither_trainability_nor_mode_nor_gradients(stages: tuple) -> None:
    model, _ = stages
    model.train()
    loss = model(torch.arange(5, 15)[None]).logits.logsumexp(-1).sum()
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    with adapters_active(model, ["first"]):
        assert {name: p.requires_grad for name, p in model.named_parameters()} == flags
        logits(model, keep_mode=True)
        assert model.training
    loss.backward()
    assert {name: p.requires_grad for name, p in model.named_parameters()} == flags
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    assert all(".second." in name for name, wanted in flags.items() if wanted)


def test_the_adapters_come_back_after_an_exception(stages: tuple) -> None:
    model, _ = stages
    with pytest.raises(KeyError), adapters_active(model, ()):
        raise KeyError
    assert active_adapters(model) == ("first", "second")


def test_a_view_within_a_view_comes_back_to_the_outer_one(stages: tuple) -> None:
    model, _ = stages
    with adapters_active(model, ["first"]):
        with adapters_active(model, ()):
            assert active_adapters(model) == ()
        assert active_adapters(model) == ("first",)


def test_a_plain_model_is_its_own_base() -> None:
    model = tiny_model("llama")
    expected = logits(model)
    with adapters_active(model, ()):
        torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)


def test_an_unknown_name_is_told(stages: tuple) -> None:
    with (
        pytest.raises(ModelError, match="no adapter 'frist'; did you mean 'first'"),
        adapters_active(stages[0], ["frist"]),
    ):
        pass
