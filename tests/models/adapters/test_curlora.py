"""CURLoRA in a stage: attached, resumed, seen without, put aside, saved and merged like any other adapter."""

import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from forgetting.core.errors import ModelError, RunError
from forgetting.models.adapters import (
    AdapterSpec,
    active_adapters,
    adapter_state,
    adapters_active,
    add_saved,
    attach,
    merged,
    save_adapter,
    trainable_share,
    trainable_state,
)
from forgetting.models.adapters.curlora import curlora_factors
from forgetting.models.adapters.remove import without
from forgetting.models.loading import load_model, save_model
from tests.models.adapters.stages import logits, stir, worst
from tests.models.tiny import FAMILIES, tiny_model, tiny_tokenizer

FIRST = AdapterSpec(kind="curlora", rank=3, targets="qv")
SECOND = AdapterSpec(kind="curlora", rank=4, targets="all")


def two_stages(family: str = "llama", base: PeftModel | None = None) -> PeftModel:
    model = attach(base or tiny_model(family), FIRST, name="first", seed=1)
    stir(model)
    model = attach(model, SECOND, name="second", seed=2)
    stir(model)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_it_starts_as_no_change_in_every_family(family: str) -> None:
    model = tiny_model(family)
    before = logits(model)
    model = attach(model, SECOND, name="first", seed=0)
    torch.testing.assert_close(logits(model), before, rtol=0, atol=0)
    stir(model, steps=1)
    assert worst(logits(model), before) > 1e-3


def test_the_seed_decides_what_is_drawn_and_a_later_stage_draws_anew() -> None:
    one, again, other = (attach(tiny_model("llama"), FIRST, name="x", seed=seed) for seed in (1, 1, 2))
    states = [adapter_state(model) for model in (one, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_only_u_trains_and_the_share_counts_it_against_the_plain_model() -> None:
    plain = tiny_model("llama")
    weights = sum(p.numel() for p in plain.parameters())
    model = two_stages()
    assert set(trainable_state(model)) == {n for n, _ in model.named_parameters() if n.endswith(".second.U")}
    assert len(trainable_state(model)) == 14
    assert trainable_share(model) == pytest.approx(14 * 4 * 4 / weights)


def test_a_stage_goes_on_from_its_state_with_the_same_steps() -> None:
    model = two_stages()
    state = {name: value.clone() for name, value in adapter_state(model).items()}
    first = {name: value for name, value in state.items() if ".first." in name}
    # The drawing of another seed is overwritten: what was drawn is in the state.
    resumed = attach(tiny_model("llama"), FIRST, name="first", seed=77, state=first)
    resumed = attach(resumed, SECOND, name="second", seed=78, state=state)
    torch.testing.assert_close(logits(resumed), logits(model), rtol=0, atol=0)
    stir(model), stir(resumed)
    torch.testing.assert_close(logits(resumed), logits(model), rtol=0, atol=0)


def test_a_state_without_what_was_drawn_is_refused() -> None:
    state = trainable_state(attach(tiny_model("llama"), FIRST, name="first", seed=1))
    with pytest.raises(RunError, match=r"the checkpoint lacks .*first\.[CR]"):
        attach(tiny_model("llama"), FIRST, name="first", seed=1, state=state)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_each_earlier_stage_can_be_seen_again_and_taken_off(family: str) -> None:
    base = logits(tiny_model(family))
    first = attach(tiny_model(family), FIRST, name="first", seed=1)
    stir(first)
    after_first = logits(first)
    model = two_stages(family)
    assert active_adapters(model) == ("first", "second")
    after_both = logits(model)
    for names, expected in (((), base), (("first",), after_first), (("first", "second"), after_both)):
        with adapters_active(model, names):
            torch.testing.assert_close(logits(model), expected, rtol=0, atol=0)
    assert all(".second." in name for name, p in model.named_parameters() if p.requires_grad)
    left = without(model, ("second",))
    torch.testing.assert_close(logits(left), after_first, rtol=0, atol=0)
    plain = without(left, ("first",))
    assert not isinstance(plain, PeftModel)
    torch.testing.assert_close(logits(plain), base, rtol=0, atol=0)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_two_stages_are_saved_as_one_adapter_that_loads_on_the_base(family: str, tmp_path: Path) -> None:
    save_model(tiny_model(family), tiny_tokenizer(), tmp_path / "base")
    model = two_stages(family, load_model(tmp_path / "base").model)
    expected = logits(model)
    save_adapter(model, tiny_tokenizer(), tmp_path / "adapter")
    beside, names = add_saved(load_model(tmp_path / "base").model, tmp_path / "adapter", name="saved")
    assert active_adapters(beside) == ()
    assert names == ("saved",)
    with adapters_active(beside, names):
        assert worst(logits(beside), expected) <= 1e-6
    assert next(iter(curlora_factors(beside, "saved").values())).U.shape == (7, 7)
    loaded = load_model(tmp_path / "adapter")
    assert loaded.base == str(tmp_path / "base")
    assert worst(logits(loaded.model), expected) <= 1e-5


def test_one_stage_is_saved_as_peft_itself_would(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = attach(tiny_model("llama"), FIRST, name="first", seed=1)
    stir(model)
    save_adapter(model, tiny_tokenizer(), tmp_path / "ours")
    model.save_pretrained(tmp_path / "peft")
    ours = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    by_peft = load_file(tmp_path / "peft" / "first" / "adapter_model.safetensors")
    assert ours.keys() == by_peft.keys()
    assert all(torch.equal(ours[name], by_peft[name]) for name in ours)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_merging_keeps_the_outputs_and_full_tuning_goes_on_from_there(family: str) -> None:
    model = two_stages(family)
    expected = logits(model)
    plain = attach(model, AdapterSpec(kind="full"), name="tune", seed=0)
    assert not isinstance(plain, PeftModel)
    assert worst(logits(plain), expected) <= 1e-5
    assert all(p.requires_grad for p in plain.parameters())


def test_an_untrained_adapter_merged_leaves_a_bf16_base_bit_for_bit() -> None:
    base = tiny_model("llama", dtype=torch.bfloat16)
    weights = {name: value.clone() for name, value in base.state_dict().items()}
    plain = merged(attach(base, SECOND, name="first", seed=0))
    assert all(torch.equal(value, weights[name]) for name, value in plain.state_dict().items())


def test_a_bf16_base_trains_u_in_fp32() -> None:
    model = attach(tiny_model("llama", dtype=torch.bfloat16), FIRST, name="first", seed=0)
    assert {p.dtype for p in trainable_state(model).values()} == {torch.float32}
    before = logits(model)
    stir(model)
    assert logits(model).dtype == torch.bfloat16
    assert worst(logits(model).float(), before.float()) > 1e-2


def test_lora_and_curlora_do_not_stand_beside_each_other() -> None:
    with pytest.raises(ModelError, match=r"adapters of another kind \(lora\).*between: merge") as error:
        attach(attach(tiny_model("llama"), AdapterSpec(rank=2), name="first", seed=0), FIRST, name="second", seed=0)
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match=r"adapters of another kind \(curlora\)"):
        attach(attach(tiny_model("llama"), FIRST, name="first", seed=0), AdapterSpec(rank=2), name="second", seed=0)


def test_a_saved_lora_is_not_put_beside_curlora(tmp_path: Path) -> None:
    model = attach(tiny_model("llama"), AdapterSpec(rank=2), name="first", seed=0)
    save_adapter(model, tiny_tokenizer(), tmp_path / "lora")
    with pytest.raises(ModelError, match=r"cannot be put on the model .*beside adapters of another kind") as error:
        add_saved(attach(tiny_model("llama"), FIRST, name="first", seed=0), tmp_path / "lora", name="saved")
    assert "\n" not in str(error.value)


def test_weights_in_4_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[attach.__module__], "has_quantised", lambda _: True)
    with pytest.raises(ModelError, match="CURLoRA takes columns and rows of whole weights, not of 4 bits"):
        attach(tiny_model("llama"), FIRST, name="first", seed=0)


def test_a_rank_beyond_a_matrix_is_refused_before_anything_is_wrapped() -> None:
    model = tiny_model("llama")
    with pytest.raises(ModelError, match=r"layers\.0\.self_attn\.k_proj: 16 rows, 32 columns, too few for rank 17"):
        attach(model, AdapterSpec(kind="curlora", rank=17), name="first", seed=0)
    assert not any("curlora" in name for name in model.state_dict())


def test_the_released_drawing_is_another_one() -> None:
    distinct = {}
    for drawing in ("without_replacement", "released"):
        spec = AdapterSpec(kind="curlora", rank=16, targets="qv", drawing=drawing)
        factors = curlora_factors(attach(tiny_model("llama"), spec, name="first", seed=1), "first").values()
        distinct[drawing] = [found.C.unique(dim=1).shape[1] for found in factors]
    assert set(distinct["without_replacement"]) == {16}
    assert max(distinct["released"]) < 16


@pytest.mark.parametrize("stage", ["curlora", "cur"])
def test_a_stage_may_be_called_as_the_method_is(stage: str) -> None:
    from forgetting.models.adapters import adapter_name

    name = adapter_name(stage)
    assert name == f"{stage}-stage" == adapter_name(name)
