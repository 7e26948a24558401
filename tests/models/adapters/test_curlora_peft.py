"""CURLoRA is a method of PEFT: plain PEFT adds, saves, loads, merges, deletes and switches it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor

from forgetting.core.errors import ModelError
from forgetting.models.adapters.cur import draw, seed_of
from forgetting.models.adapters.curlora import curlora_factors
from forgetting.models.adapters.curlora_peft import CurLoraConfig, Factors
from forgetting.models.adapters.targets import linear_layers, out_in
from tests.models.adapters.stages import logits, stir, worst
from tests.models.adapters.test_cur import golden, golden_matrix
from tests.models.tiny import tiny_model

__all__ = ["golden"]
TARGETS = {"llama": ["q_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "c_fc"]}
FAMILIES = list(TARGETS)


def config(family: str, rank: int = 3, seed: int = 0, **values: object) -> CurLoraConfig:
    return CurLoraConfig(r=rank, target_modules=TARGETS[family], seed=seed, task_type="CAUSAL_LM", **values)


def adapted(family: str, *, dtype: torch.dtype = torch.float32, **values: object) -> PeftModel:
    return get_peft_model(tiny_model(family, dtype=dtype), config(family, **values))


def two(family: str, dtype: torch.dtype = torch.float32) -> PeftModel:
    """Two trained adapters, `default` and, as the only active one, `other`."""
    model = adapted(family, dtype=dtype)
    stir(model)
    model.add_adapter("other", config(family, rank=2, seed=5))
    model.set_adapter("other")
    stir(model)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_it_starts_as_no_change_with_the_drawn_columns_and_rows(family: str) -> None:
    plain = tiny_model(family)
    model = adapted(family)
    torch.testing.assert_close(logits(model), logits(plain), rtol=0, atol=0)
    layers = linear_layers(plain)
    factors = curlora_factors(model, "default")
    assert factors
    for module, found in factors.items():
        weight = out_in(layers[module], layers[module].weight)
        columns, rows = draw(weight, 3, seed=seed_of(0, module))
        assert torch.equal(found.C, weight[:, columns]) and torch.equal(found.R, weight[rows])
        assert found.U.shape == (3, 3) and not found.U.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_u_alone_trains_by_the_gradient_of_the_plain_formula(family: str) -> None:
    model = adapted(family, dtype=torch.float64)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable and all(name.endswith(".curlora_factors.default.U") for name in trainable)
    for module, factors in curlora_factors(model, "default").items():
        assert factors.U.dtype == torch.float64
        layer = linear_layers(model)[module]
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(5, layer.in_features, dtype=torch.float64, generator=generator)
        target = torch.randn(5, layer.out_features, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            factors.U.normal_(generator=generator)
        (layer(x) - target).square().sum().backward()
        base = layer.get_base_layer()
        weight, bias = out_in(base, base.weight).detach(), 0 if base.bias is None else base.bias.detach()
        u = factors.U.detach().clone().requires_grad_(True)
        (x @ (weight + factors.C @ u @ factors.R).T + bias - target).square().sum().backward()
        torch.testing.assert_close(factors.U.grad, u.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded_it_computes_and_trains_the_same(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = adapted(family, dtype=dtype)
    stir(model)
    expected = logits(model)
    assert worst(expected, logits(tiny_model(family, dtype=dtype))) > 0.01
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "CURLORA"
    loaded = PeftModel.from_pretrained(tiny_model(family, dtype=dtype), tmp_path, is_trainable=True)
    torch.testing.assert_close(logits(loaded), expected, rtol=0, atol=0)
    assert {p.dtype for p in loaded.parameters() if p.requires_grad} == {torch.float32}
    stir(model, steps=1), stir(loaded, steps=1)
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=0)
    assert not torch.equal(logits(loaded), expected)


def test_the_file_holds_c_u_and_r_in_their_own_precision(tmp_path: Path) -> None:
    model = adapted("llama", dtype=torch.bfloat16)
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "adapter_model.safetensors")
    assert len(state) == 3 * len(curlora_factors(model, "default"))
    by_part = {part: {v.dtype for n, v in state.items() if n.endswith(f".curlora_factors.{part}")} for part in "CUR"}
    assert by_part == {"C": {torch.bfloat16}, "U": {torch.float32}, "R": {torch.bfloat16}}


def test_loaded_on_a_base_that_was_merged_into_it_adds_what_it_added(tmp_path: Path) -> None:
    first = adapted("llama")
    stir(first)
    first.save_pretrained(tmp_path)
    deltas = {module: factors.delta().detach() for module, factors in curlora_factors(first, "default").items()}
    again = PeftModel.from_pretrained(first.merge_and_unload(), tmp_path)
    assert deltas
    for module, factors in curlora_factors(again, "default").items():
        torch.testing.assert_close(factors.delta(), deltas[module], rtol=0, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_merging_keeps_the_outputs_and_leaves_a_plain_model(family: str) -> None:
    model = adapted(family)
    stir(model)
    expected = logits(model)
    plain = model.merge_and_unload(safe_merge=True)
    assert not any("curlora" in name for name in plain.state_dict())
    assert worst(logits(plain), expected) <= 1e-5


def test_merging_two_rounds_once_to_the_precision_of_the_base() -> None:
    model = two("llama", torch.bfloat16)
    base = tiny_model("llama", dtype=torch.bfloat16)
    expected = {}
    for module, layer in linear_layers(base).items():
        adapters = [curlora_factors(model, name).get(module) for name in ("default", "other")]
        deltas = [f.C.float() @ f.U.detach() @ f.R.float() for f in adapters if f is not None]
        expected[module] = (layer.weight.detach().float() + sum(deltas)).bfloat16()
    plain = model.merge_and_unload(adapter_names=["default", "other"])
    moved = 0
    for module, layer in linear_layers(plain).items():
        assert torch.equal(layer.weight, expected[module]), module
        moved += not torch.equal(layer.weight, linear_layers(base)[module].weight)
    assert moved


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_and_taken_off_again_it_is_as_before(family: str) -> None:
    model = two(family)
    expected = logits(model)
    model.merge_adapter()
    assert worst(logits(model), expected) <= 1e-5
    with model.disable_adapter():
        assert worst(logits(model), logits(tiny_model(family))) <= 1e-5
    assert worst(logits(model), expected) <= 1e-5


def test_a_merge_that_is_not_finite_is_refused_and_leaves_the_weight() -> None:
    model = adapted("llama")
    factors = next(iter(curlora_factors(model, "default").values()))
    with torch.no_grad():
        factors.U.fill_(torch.inf)
    with pytest.raises(ValueError, match="not finite"):
        model.merge_adapter(safe_merge=True)
    assert all(torch.isfinite(layer.weight).all() for layer in linear_layers(model).values())


@pytest.mark.parametrize("family", FAMILIES)
def test_two_adapters_are_switched_disabled_and_deleted(family: str) -> None:
    model = two(family)
    seen = {"other": logits(model)}
    model.set_adapter("default")
    seen["default"] = logits(model)
    assert not torch.equal(seen["default"], seen["other"])
    assert all(".default." in name for name, p in model.named_parameters() if p.requires_grad)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model), logits(tiny_model(family)), rtol=0, atol=0)
    torch.testing.assert_close(logits(model), seen["default"], rtol=0, atol=0)
    model.base_model.set_adapter(["default", "other"])
    for module, layer in linear_layers(model).items():
        both = [f[module] for f in (curlora_factors(model, n) for n in ("default", "other")) if module in f]
        x = torch.randn(3, out_in(layer, layer.weight).shape[1])
        expected = layer.get_base_layer()(x) if both else layer(x)
        for factors in both:
            expected = expected + x @ factors.delta().T
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    model.delete_adapter("default")
    torch.testing.assert_close(logits(model), seen["other"], rtol=0, atol=0)
    assert not any(".default." in name for name in model.state_dict())


def test_an_adapter_loaded_beside_another_leaves_that_one_trainable(tmp_path: Path) -> None:
    adapted("llama", seed=8).save_pretrained(tmp_path)
    model = adapted("llama")
    model.load_adapter(tmp_path, adapter_name="second")
    assert all(".default." in name for name, p in model.named_parameters() if p.requires_grad)


def test_loading_by_way_of_the_meta_device_gives_the_same(tmp_path: Path) -> None:
    model = adapted("llama")
    stir(model)
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny_model("llama"), tmp_path, low_cpu_mem_usage=True)
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=0)


def test_under_gradient_checkpointing_u_gets_the_same_gradient() -> None:
    grads: list[list[Tensor]] = []
    for checkpointing in (False, True):
        model = adapted("llama")
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        model.train()
        ids = torch.arange(5, 15)[None]
        model(input_ids=ids, labels=ids).loss.backward()
        grads.append([p.grad for p in model.parameters() if p.requires_grad])
    assert all(torch.allclose(a, b) and a.any() for a, b in zip(*grads, strict=True))


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(ModelError, match="embed_tokens: CURLoRA takes columns and rows of whole matrices"):
        get_peft_model(tiny_model("llama"), CurLoraConfig(r=2, target_modules=["embed_tokens"]))


def test_the_product_is_that_of_the_released_code(golden: dict) -> None:
    weight = torch.from_numpy(golden_matrix())
    columns, rows = draw(weight, 4, seed=0, drawing="released")
    factors = Factors(weight, columns, rows)
    factors.U = torch.nn.Parameter(torch.from_numpy(np.random.RandomState(44).randn(4, 4)))
    x = torch.from_numpy(np.random.RandomState(43).randn(2, 16))
    expected = torch.tensor(golden["forward_check"]["y"], dtype=torch.float64)
    torch.testing.assert_close(factors(x), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(x @ factors.delta().T, expected, rtol=1e-9, atol=1e-9)
