"""Influence updates: the published figures on a convex probe, and a dense Newton step on a tiny model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError, RecipeError
from forgetting.data.encode import Encoded
from forgetting.models.adapters import AdapterSpec, attach
from forgetting.models.adapters.state import adapter_tensors
from forgetting.models.transforms import Given, build_transform
from forgetting.models.transforms.influence import conjugate_gradients
from tests.golden import figures
from tests.models.tiny import tiny_model
from tests.training.making import data_of

GOLDEN: dict[str, Any] = figures("digest")["influence"]


def probe() -> tuple[Tensor, Tensor, Tensor]:
    """The rows of a logistic regression, the labels it was fitted to, and the right ones."""
    random = np.random.default_rng(5)
    x, w = random.standard_normal((60, 6)), random.standard_normal(6)
    right = np.where(random.random(60) < 1 / (1 + np.exp(-x @ w)), 1.0, -1.0)
    flipped = right.copy()
    flipped[[3, 11, 40, 41, 55]] *= -1
    return torch.from_numpy(x), torch.from_numpy(flipped), torch.from_numpy(right)


def test_a_convex_probe_is_corrected_as_published_and_by_the_newton_step_in_closed_form() -> None:
    x, flipped, right = probe()
    theta = torch.tensor(GOLDEN["theta"], dtype=torch.float64)

    def slope(y: Tensor) -> Tensor:
        return -(x * (y * torch.sigmoid(-y * (x @ theta)))[:, None]).sum(0)

    sure = torch.sigmoid(x @ theta) * torch.sigmoid(-x @ theta)
    hessian = x.T @ (x * sure[:, None]) + torch.eye(6, dtype=torch.float64)
    change = slope(flipped) - slope(right)
    found, left, done = conjugate_gradients(lambda v: hessian @ v, change, 50, 1e-12)
    torch.testing.assert_close(found, torch.linalg.solve(hessian, change), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(theta + found, GOLDEN["second_order_labels"], rtol=1e-6)
    np.testing.assert_allclose(theta + 0.05 * change, GOLDEN["first_order_tau_0_05"], rtol=1e-6)
    retrained = torch.tensor(GOLDEN["retrained_on_right_labels"], dtype=torch.float64)
    assert float((theta + found - retrained).norm()) == pytest.approx(GOLDEN["distance_after"], rel=1e-4)
    assert left < 1e-12 and done <= 7  # as many as dimensions, and one for rounding


def adapted() -> PreTrainedModel:
    model = attach(
        tiny_model("gpt2", head_scale=0.3, dtype=torch.float64), AdapterSpec(rank=1, targets="qv"), name="a", seed=0
    )
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.double()


def loss_of(model: PreTrainedModel, values: dict[str, Tensor], rows: list[Encoded]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        ids = torch.tensor([row.ids])
        logits = functional_call(model, values, (ids,)).logits[0, :-1]
        weights = torch.tensor(row.weights[1:], dtype=torch.float64)
        total = total - (weights * logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]).sum()
    return total


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("order", ["first", "second"])
def test_the_adapter_takes_the_newton_step_of_the_dense_hessian(order: str, corrected: bool) -> None:
    model, data = adapted(), data_of("forget", "retain", "alternate", count=3)
    model.set_attn_implementation("sdpa")
    attention = model.config._attn_implementation
    before = copy.deepcopy(model)
    before.set_attn_implementation("eager")
    said_before = before(torch.tensor([data["forget"][0].ids])).logits.detach()
    names = [name for name, tensor in adapter_tensors(before).items()]
    start = {name: dict(before.named_parameters())[name].detach() for name in names}
    flat = torch.cat([t.reshape(-1) for t in start.values()])

    def loss(vector: Tensor, *roles: str) -> Tensor:
        pieces = vector.split([t.numel() for t in start.values()])
        values = {name: piece.view_as(start[name]) for name, piece in zip(names, pieces, strict=True)}
        return loss_of(before, values, [row for role in roles for row in data[role]]) / total

    total = sum(row.supervised for role in ("forget", "retain") for row in data[role])
    slope = torch.autograd.functional.jacobian(lambda v: loss(v, "forget"), flat)
    if corrected:
        slope = slope - torch.autograd.functional.jacobian(lambda v: loss(v, "alternate"), flat)
    if order == "second":
        hessian = torch.autograd.functional.hessian(lambda v: loss(v, "forget", "retain"), flat)
        assert (hessian - hessian.T).abs().max() < 1e-8 and hessian.abs().max() > 0.05
        slope = torch.linalg.solve(hessian + 60.0 * torch.eye(len(flat), dtype=torch.float64), slope)
    said: list[str] = []
    given = Given(0, data=data, say=said.append)
    settings = {"order": order, "step": 0.5, "damping": 60.0, "iterations": 500, "tolerance": 1e-13}
    found = build_transform("influence", {**settings, "corrected": corrected}).apply(model, given)
    for name, parameter in before.named_parameters():
        if name in start:
            position = sum(start[n].numel() for n in names[: names.index(name)])
            parameter.data += 0.5 * slope[position : position + parameter.numel()].view_as(parameter)
    ids = torch.tensor([data["forget"][0].ids])
    with torch.no_grad():
        moved, expected = (m(ids).logits - said_before for m in (found, before.merge_and_unload()))
        assert float((moved - expected).norm() / expected.norm()) < 1e-4 and expected.norm() > 1e-3
    assert not hasattr(found, "peft_config") and found.config._attn_implementation == attention
    assert len(said) == (order == "second")


def test_without_an_adapter_all_weights_change_and_the_forget_rows_become_less_likely() -> None:
    model, data = tiny_model("gpt2", head_scale=0.3), data_of("forget", "retain")
    model.register_parameter("idle", torch.nn.Parameter(torch.ones(2)))  # of no use for text
    before, start = copy.deepcopy(model), {n: p.detach().clone() for n, p in model.named_parameters()}
    found = build_transform("influence", {"damping": 100.0, "iterations": 3}).apply(model, Given(0, data=data))
    losses = [float(loss_of(m.double(), {}, data["forget"]).detach()) for m in (before, found)]
    assert losses[1] > losses[0]
    moved = {n: float((p - start[n]).detach().abs().max()) for n, p in found.named_parameters()}
    assert moved.pop("idle") == 0 and all(moved.values()) and all(p.requires_grad for p in found.parameters())


def test_a_direction_of_negative_curvature_is_named_with_the_damping_that_it_takes() -> None:
    bent = torch.diag(torch.tensor([1.0, -0.25]))
    with pytest.raises(ModelError, match=r"bends down along a direction .*; raise damping by more than 0\.25"):
        conjugate_gradients(lambda v: bent @ v, torch.tensor([0.0, 1.0]), 9, 1e-3)
    x, left, done = conjugate_gradients(lambda v: bent @ v, torch.zeros(2), 9, 1e-3)
    assert x.tolist() == [0, 0] and (left, done) == (0, 0)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"order": "third"}, "unknown order 'third'"),
        ({"damping": -1}, "damping is -1; it must be 0 or a positive number"),
        ({"iterations": 0}, "iterations is 0; it must be a whole number above 0"),
        ({"corrected": "no"}, "corrected is 'no'; it must be true or false"),
    ],
)
def test_a_value_without_meaning_is_named(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_transform("influence", parameters)
    assert f"influence: {said}" in str(caught.value)
