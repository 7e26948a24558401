"""PGU's rule: the published figures in float64, and retained outputs that stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules import Before, Prepares, build_gradient_rule, rectified, subspace
from forgetting.objectives.gradient_rules.input_bases import input_bases, main_directions
from forgetting.objectives.gradient_rules.rule import Gradient
from forgetting.training.gradients import inner
from forgetting.training.prepared_rule import prepare_rule
from tests.golden import figures
from tests.models.tiny import tiny_model
from tests.training.making import batches_of, data_of

GOLDEN: dict[str, Any] = figures("digest")["PGU"]


def drawn() -> tuple[Tensor, Tensor]:
    """Inputs of retained rows, and a gradient."""
    random = np.random.default_rng(1)
    inputs = random.standard_normal((30, 8)) * 0.6 ** np.arange(8)
    return torch.from_numpy(inputs[6:]), torch.from_numpy(random.standard_normal((5, 8)))


def test_the_figures_of_the_released_formula() -> None:
    inputs, gradient = drawn()
    covariance = inputs.T @ inputs
    assert float(covariance.trace()) == pytest.approx(GOLDEN["retain_covariance_trace"], rel=1e-12)
    basis = main_directions(covariance, 0.95)
    assert basis.shape[1] == GOLDEN["k_by_sum_of_singular_values"]
    rule = subspace(add_retain=False)
    rule.load_state_dict({"bases": (basis, basis, None), "transposed": [1]})
    given = Gradient((gradient.clone(), gradient.T.clone(), torch.ones(5)), inner)
    found = rule.combine([given, Gradient((None, None, None), inner)]).tensors
    np.testing.assert_allclose(found[0], GOLDEN["projected_gradient"], rtol=1e-9, atol=1e-12)  # type: ignore[arg-type]
    torch.testing.assert_close(found[1], found[0].T)  # type: ignore[union-attr]
    assert found[2].tolist() == [0] * 5  # type: ignore[union-attr]
    assert float((inputs @ found[0].T).norm()) == pytest.approx(  # type: ignore[union-attr]
        GOLDEN["retain_output_change_norm_after"], rel=1e-9
    )


def test_something_is_always_left_and_nothing_is_taken_where_nothing_was_seen() -> None:
    inputs, _ = drawn()
    assert main_directions(inputs.T @ inputs, 1.0).shape == (8, 7)
    assert main_directions(inputs.T @ inputs, 0.0).shape == (8, 0)
    assert main_directions(torch.zeros(8, 8), 1.0).shape == (8, 0)


def inputs_of(model: nn.Module, layer: nn.Module, batches: list[Batch]) -> Tensor:
    """What a layer sees of real tokens, example by example, without padding."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda m, args: seen.append(args[0][0]))
    with torch.no_grad():
        for batch in batches:
            for ids, mask in zip(batch.input_ids_BT, batch.attention_mask_BT, strict=True):
                model(ids[mask.bool()][None])
    hook.remove()
    return torch.cat(seen)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("budget", [1, 2**30])
def test_bases_are_those_of_the_inputs_of_each_matrix_however_many_are_held(family: str, budget: int) -> None:
    model = tiny_model(family, head_scale=0.3, dtype=torch.float64).eval()
    data = data_of("forget", "retain")
    model.model.embed_tokens.requires_grad_(False) if family == "llama" else model.transformer.wte.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    passes: list[str] = []

    def batches(role: str, count: int) -> Iterator[Batch]:
        passes.append(role)
        yield from batches_of({role: data[role]}, [{role: [0, 1, 2]}, {role: [3, 4]}], extra=2)

    def forward(batch: Batch) -> None:
        with torch.no_grad():
            model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT)

    before = Before(model, parameters, batches, forward)
    bases = dict(input_bases(before, ("retain",), share=0.6, examples=5, budget=budget))
    name = "model.layers.1.mlp.down_proj" if family == "llama" else "transformer.h.1.mlp.c_fc"
    layer = model.get_submodule(name)
    index = next(i for i, p in enumerate(parameters) if p is layer.weight)
    x = inputs_of(model, layer, list(batches("retain", 5)))
    s = torch.linalg.svdvals(x)
    count = int((s.cumsum(0) <= 0.6 * s.sum()).sum())
    left = torch.linalg.svd(x).Vh[:count].T
    torch.testing.assert_close(bases[index] @ bases[index].T, left @ left.T, rtol=1e-6, atol=1e-7)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) or type(m).__name__ == "Conv1D"]
    tied = family == "gpt2"  # its head is the embedding, which is not trained here
    assert len(bases) == len(linear) - tied and (len(passes) > 2) == (budget == 1)


def test_after_a_step_retained_texts_have_the_outputs_of_each_matrix_that_they_had() -> None:
    model = tiny_model("llama", head_scale=0.3, dtype=torch.float64)
    data = data_of("forget", "retain", count=2)
    rule = subspace(share=0.9999, add_retain=False)
    assert isinstance(rule, Prepares) and not isinstance(rectified(), Prepares)
    rule.parts((("forget",), ("retain",)))
    prepare_rule(rule, model, data, 0)
    assert model.training == tiny_model("llama").training
    parameters = list(model.parameters())
    step = rule.combine(
        [Gradient(tuple(torch.randn_like(p) for p in parameters), inner), Gradient((None,) * len(parameters), inner)]
    )
    layer = model.model.layers[0].self_attn.q_proj
    index = next(i for i, p in enumerate(parameters) if p is layer.weight)
    change = step.tensors[index]
    assert change is not None and change.norm() > 0.1
    retained, forgotten = (
        inputs_of(model, layer, batches_of({r: data[r]}, [{r: [0, 1]}])) for r in ("retain", "forget")
    )
    moved = [float((x @ change.T).norm() / x.norm()) for x in (retained, forgotten)]
    assert moved[0] < 0.2 * moved[1]  # a share below 1 leaves the weakest direction


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"share": 1.5}, "share is 1.5; it must be a number from 0 to 1"),
        ({"examples": 0}, "examples is 0; it must be a whole number above 0"),
        ({"add_retain": "yes"}, "add_retain is 'yes'; it must be true or false"),
    ],
)
def test_a_value_without_meaning_is_named(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_gradient_rule("subspace", parameters)
    assert f"gradients: subspace: {said}" in str(caught.value)
