"""FILA starts as the weighted low-rank part of each weight, and changes nothing until it is trained."""

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.adapters import (
    AdapterSpec,
    active_adapters,
    adapters_active,
    attach,
    linear_layers,
    resolve_targets,
)
from forgetting.models.adapters.fila import Fila, epsilon_of, factors, row_weights
from forgetting.models.adapters.lora import effective_weight
from tests.golden import figures
from tests.models.adapters.stages import IDS, logits, stir, worst
from tests.models.tiny import FAMILIES, tiny_model


def importance_of(model: PreTrainedModel | PeftModel, targets: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Made-up w of each module."""
    generator = torch.Generator().manual_seed(seed)
    layers = linear_layers(model)
    return {
        name: torch.rand(effective_weight(layers[name]).shape[0], generator=generator) + 0.05
        for name in resolve_targets(model, targets)
    }


def with_fila(
    family: str,
    *,
    targets: str = "all",
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
    **keywords: int,
) -> PeftModel:
    model = tiny_model(family, dtype=dtype)
    spec = AdapterSpec(rank=4, dropout=dropout, targets=targets, init=Fila())
    return attach(model, spec, name="unlearn", seed=0, prepared=importance_of(model, targets), **keywords)


def test_the_released_variant_gives_the_released_figures() -> None:
    golden = figures("fila")
    rs = np.random.RandomState(31)
    weight = rs.randn(24, 16)
    forget, retain = (rs.gamma(0.5, 1e-3, size=(24, 16)) + 1e-6 for _ in range(2))
    w = row_weights(torch.from_numpy(forget) / 10, torch.from_numpy(retain) / 20, "released")
    np.testing.assert_allclose(w, golden["row_importance_float64"], rtol=1e-10)
    b, a = factors(torch.from_numpy(weight), w, rank=4, scaling=2.0)
    part = (2.0 * b @ a).numpy()
    # The released code divides by w + 1e-5, here about 2e-6 of w.
    np.testing.assert_allclose(part, golden["exact_svd_float64"]["scaled_BA"], atol=1e-5)
    np.testing.assert_allclose(weight - part, golden["exact_svd_float64"]["residual"], atol=1e-5)


def test_no_other_matrix_of_the_rank_has_a_smaller_weighted_error() -> None:
    generator = torch.Generator().manual_seed(3)
    weight, w = torch.randn(20, 12, generator=generator), torch.rand(20, generator=generator) + 0.1
    b, a = factors(weight, w, rank=3, scaling=0.5)
    error = (w[:, None] * (weight - 0.5 * b @ a)).square().sum()
    dropped = np.linalg.svd((w[:, None] * weight).double().numpy(), compute_uv=False)[3:]
    assert float(error) == pytest.approx(float(np.square(dropped).sum()), rel=1e-6)
    assert b.norm() > 0 and a.norm() > 0


def test_the_scale_of_the_importance_does_not_matter() -> None:
    weight, w = torch.randn(20, 12, generator=torch.Generator().manual_seed(3)), torch.linspace(0.1, 2, 20)
    one, other = factors(weight, w, rank=3, scaling=2.0), factors(weight, 1e-6 * w, rank=3, scaling=2.0)
    torch.testing.assert_close(one[0] @ one[1], other[0] @ other[1])


def test_rows_that_do_not_matter_give_finite_factors_of_bounded_size() -> None:
    weight = torch.randn(20, 12, generator=torch.Generator().manual_seed(3))
    w = torch.zeros(20)
    w[:2] = 1.0
    b, a = factors(weight, w, rank=4, scaling=2.0)  # rank 4 of which only two rows matter
    assert torch.isfinite(b).all() and torch.isfinite(a).all()
    torch.testing.assert_close((2.0 * b @ a)[:2], weight[:2].double(), rtol=1e-4, atol=1e-4)
    assert b.abs().max() < 1e3
    plain, zeros = factors(weight, torch.ones(20), rank=4, scaling=2.0), factors(weight, 0 * w, rank=4, scaling=2.0)
    torch.testing.assert_close(plain, zeros)


def test_a_rank_beyond_the_matrix_is_filled_with_zeros() -> None:
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    b, a = factors(weight, torch.ones(6), rank=9, scaling=1.0)
    assert b.shape == (6, 9) and a.shape == (9, 4)
    torch.testing.assert_close(b @ a, weight.double())


def test_epsilon_follows_the_size_of_the_retain_information() -> None:
    retain = torch.tensor([[0.0, 1e-9, 3e-9], [0.0, 2e-9, 7e-9]])
    assert epsilon_of(retain, "relative") == pytest.approx(1e-3 * 2e-9)
    assert epsilon_of(retain, "released") == 1e-5
    assert epsilon_of(retain, 0.5) == 0.5
    assert epsilon_of(torch.zeros(2, 3), "relative") == 1.0


def test_the_model_is_unchanged_at_the_start_to_the_last_digits_of_float64() -> None:
    plain = logits(tiny_model("gpt2", dtype=torch.float64))  # Llama computes its norms in fp32 whatever the precision
    assert worst(logits(with_fila("gpt2", dtype=torch.float64)), plain) <= 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_unchanged_at_the_start(family: str) -> None:
    plain = logits(tiny_model(family))
    model = with_fila(family, dropout=0.3)
    assert worst(logits(model), plain) <= 2e-6  # fp32: 1.1e-6 with the kernels of some processors
    with adapters_active(model, ()):
        torch.testing.assert_close(logits(model), plain, rtol=0, atol=0)
    with adapters_active(model, ["unlearn"]):
        assert worst(logits(model), plain) > 1e-2


def test_a_bfloat16_model_is_unchanged_at_the_start() -> None:
    base = tiny_model("llama", dtype=torch.bfloat16)
    plain = logits(base)
    model = attach(base, AdapterSpec(rank=4, init=Fila()), name="unlearn", seed=0, prepared=importance_of(base, "all"))
    assert worst(logits(model).float(), plain.float()) <= 1e-6


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_the_adapter_is_the_weighted_part_of_each_weight(family: str) -> None:
    plain = tiny_model(family)
    importance, layers = importance_of(plain, "all"), linear_layers(plain)
    expected = {n: factors(effective_weight(layers[n]), w, rank=4, scaling=2.0) for n, w in importance.items()}
    model = with_fila(family)
    for name, layer in linear_layers(model).items():
        b, a = expected[name]
        torch.testing.assert_close(
            layer.get_delta_weight("unlearn"), _stored(family, 2.0 * b @ a), atol=1e-5, rtol=1e-5
        )


def _stored(family: str, delta: torch.Tensor) -> torch.Tensor:
    return (delta.T if family == "gpt2" else delta).float()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_only_the_trainable_one_of_the_pair_learns(family: str) -> None:
    model = with_fila(family)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.train()
    model(input_ids=IDS, labels=IDS).loss.backward()
    for name, p in model.named_parameters():
        assert p.requires_grad == (".unlearn." in name)
        assert (p.grad is not None and bool(p.grad.any())) == p.requires_grad
    model.zero_grad()
    stir(model)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if ".unlearn." in name}


def test_the_weights_in_effect_of_earlier_stages_are_what_is_decomposed() -> None:
    model = attach(tiny_model("llama"), AdapterSpec(rank=2, targets="qv"), name="first", seed=0)
    stir(model)
    earlier = logits(model)
    importance = importance_of(model, "ffn") | importance_of(model, "qv")
    q = "model.layers.0.self_attn.q_proj"
    b, a = factors(effective_weight(linear_layers(model)[q]), importance[q], rank=4, scaling=2.0)
    spec = AdapterSpec(rank=4, targets="qvffn", init=Fila())
    model = attach(model, spec, name="second", seed=0, prepared=importance)
    assert active_adapters(model) == ("first", "second", "second-start")
    assert worst(logits(model), earlier) <= 1e-6
    torch.testing.assert_close(
        linear_layers(model)[q].get_delta_weight("second"), (2.0 * b @ a).float(), atol=1e-5, rtol=1e-5
    )
    with adapters_active(model, ["first"]):
        torch.testing.assert_close(logits(model), earlier, rtol=0, atol=0)


def test_a_module_without_importance_is_named() -> None:
    model = tiny_model("llama")
    spec = AdapterSpec(rank=2, targets="qv", init=Fila())
    with pytest.raises(ModelError, match=r"FILA: no importance for model\.layers\.0\.self_attn\.q_proj"):
        attach(model, spec, name="unlearn", seed=0)
    importance = importance_of(model, "qv")
    importance["model.layers.1.self_attn.v_proj"][3] = torch.nan
    with pytest.raises(ModelError, match=r"not 16 finite numbers for model\.layers\.1\.self_attn\.v_proj"):
        attach(tiny_model("llama"), spec, name="unlearn", seed=0, prepared=importance)
    del importance["model.layers.1.self_attn.v_proj"]
    with pytest.raises(ModelError, match=r"no importance for model\.layers\.1\.self_attn\.v_proj"):
        attach(tiny_model("llama"), spec, name="unlearn", seed=0, prepared=importance)
