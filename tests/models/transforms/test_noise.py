"""Noise: the formula of UNDO, drawn for each parameter by its name."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from forgetting.core.errors import ModelError, RecipeError
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.transforms import Given, build_transform
from forgetting.models.transforms.noise import mixed, xavier
from tests.golden import figures
from tests.models.tiny import tiny_model

GOLDEN = figures("digest")["UNDO"]


def perturbed(seed: int = 0, **parameters: Any) -> dict[str, Tensor]:
    model = tiny_model("llama", tied=True)
    whole = build_transform("noise", parameters).apply(model, Given(seed))
    return {name: weight.detach() for name, weight in whole.named_parameters()}


def test_the_figures_of_the_released_code() -> None:
    weight = torch.from_numpy(np.random.default_rng(2).standard_normal((6, 4)))
    torch.manual_seed(0)
    drawn = torch.nn.init.xavier_uniform_(torch.empty(6, 4, dtype=torch.float64))
    found = mixed(weight, drawn, 0.6, 0.1)
    assert float(weight.norm()) == pytest.approx(GOLDEN["w_norm_before"], abs=1e-12)
    assert float(found.norm()) == pytest.approx(GOLDEN["w_norm_after"], abs=1e-12)
    assert found[0].tolist() == pytest.approx(GOLDEN["w_first_row_after"], abs=1e-12)


def test_noise_is_uniform_within_the_bound_of_xavier() -> None:
    small = xavier(torch.Size((6, 4)), seed=1)
    assert float(small.abs().max()) <= GOLDEN["xavier_bound"]
    drawn, bound = xavier(torch.Size((300, 500)), seed=1), math.sqrt(6 / 800)
    assert float(drawn.abs().max()) == pytest.approx(bound, rel=1e-3)
    assert float(drawn.std()) == pytest.approx(bound / math.sqrt(3), rel=1e-2)
    stack = xavier(torch.Size((7, 300, 500)), seed=1)  # of experts: each as if it were alone
    assert float(stack.abs().max()) == pytest.approx(bound, rel=1e-3)


def test_every_matrix_is_mixed_and_norms_are_kept_or_decayed() -> None:
    before = {name: w.detach() for name, w in tiny_model("llama", tied=True).named_parameters()}
    kept, decayed = perturbed(alpha=0.6, beta=0.1), perturbed(alpha=0.6, beta=0.1, norms="decay")
    for name, weight in before.items():
        if weight.dim() == 1:
            assert torch.equal(kept[name], weight)
            assert torch.allclose(decayed[name], 0.4 * weight)
        else:
            noise = (kept[name] - 0.4 * weight) / (0.6 * 0.1)
            bound = math.sqrt(6 / sum(weight.shape))
            assert 0.9 * bound < float(noise.abs().max()) <= bound * 1.001
            assert torch.equal(kept[name], decayed[name])
    assert "lm_head.weight" not in kept  # tied to the embedding, which is mixed once


def test_the_seed_and_the_name_decide_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    one, state = perturbed(seed=3), torch.get_rng_state()
    torch.manual_seed(2)
    again, other = perturbed(seed=3), perturbed(seed=4)
    names = [name for name, weight in one.items() if weight.dim() > 1]
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in names)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn from the program's generator
    before = {name: w.detach() for name, w in tiny_model("llama", tied=True).named_parameters()}
    first, second = (f"model.layers.{i}.self_attn.q_proj.weight" for i in (0, 1))
    assert not torch.allclose(one[first] - 0.7 * before[first], one[second] - 0.7 * before[second])


def test_alpha_0_changes_nothing_and_alpha_1_leaves_noise_alone() -> None:
    before = {name: w.detach() for name, w in tiny_model("llama", tied=True).named_parameters()}
    assert all(torch.equal(weight, before[name]) for name, weight in perturbed(alpha=0).items())
    for weight in perturbed(alpha=1, beta=0.5).values():
        if weight.dim() > 1:
            assert float(weight.abs().max()) <= 0.5 * math.sqrt(6 / sum(weight.shape)) * 1.001


@pytest.mark.parametrize("name", ["noise", "merge"])
def test_an_adapter_becomes_part_of_the_weights_before(name: str) -> None:
    torch.manual_seed(0)
    adapted = attach(tiny_model("llama"), AdapterSpec(rank=2), name="a", seed=0)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        said = adapted(ids).logits
        parameters: dict[str, object] = {"alpha": 0} if name == "noise" else {}
        whole = build_transform(name, parameters).apply(adapted, Given(0))
        assert torch.allclose(whole(ids).logits, said, atol=1e-4)
    assert not hasattr(whole, "peft_config")


def test_merge_leaves_a_model_without_adapters_as_it_is() -> None:
    model = tiny_model("gpt2")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    after = build_transform("merge").apply(model, Given(0)).state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())


def test_a_sum_is_rounded_once_to_the_precision_of_the_weight() -> None:
    weight = torch.randn(8, 8).bfloat16()
    drawn = xavier(weight.shape, 0)
    model = torch.nn.Linear(8, 8, bias=False, dtype=torch.bfloat16)
    exact = 0.7 * weight.double() + 0.03 * drawn.double()
    with torch.no_grad():
        model.weight.copy_(mixed(weight, drawn, 0.3, 0.1))
    assert torch.equal(model.weight, exact.to(torch.bfloat16))


def test_weights_in_4_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["forgetting.models.transforms.noise"], "has_quantised", lambda model: True)
    with pytest.raises(ModelError, match="4 bits"):
        perturbed()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"alpha": 1.5}, "alpha is 1.5; it must be a number from 0 to 1"),
        ({"alpha": "much"}, "alpha is 'much'"),
        ({"beta": -1}, "beta is -1; it must be 0 or a positive number"),
        ({"norms": "kep"}, "unknown norms 'kep'; did you mean 'keep'?"),
        ({"alhpa": 0.1}, "transform 'noise' has no parameter 'alhpa'; did you mean 'alpha'?"),
    ],
)
def test_a_value_without_meaning_is_named(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_transform("noise", parameters)
    assert said in str(caught.value)
