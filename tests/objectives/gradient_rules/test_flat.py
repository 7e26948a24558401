"""SAM's rule: how far ahead the forget gradient is taken."""

from __future__ import annotations

import pytest
import torch

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules import LooksAhead, build_gradient_rule, flat, rectified
from forgetting.objectives.gradient_rules.rule import Gradient
from forgetting.training.gradients import displaced, inner


def test_the_displacement_has_the_length_rho_in_the_direction_of_the_gradient() -> None:
    first = Gradient((torch.tensor([[3.0, 0.0]]), None, torch.tensor([4.0])), inner)
    ahead = flat(0.5).ahead(first)
    assert [None if t is None else t.tolist() for t in ahead.tensors] == [
        [[pytest.approx(0.3), 0]],
        None,
        [pytest.approx(0.4)],
    ]
    assert [None if t is None else t.tolist() for t in first.tensors] == [[[3, 0]], None, [4]]
    nowhere = flat(0.5).ahead(Gradient((torch.zeros(2), None), inner))
    assert nowhere.tensors[0].tolist() == [0, 0]  # type: ignore[union-attr]


def test_weights_come_back_to_the_bit_even_from_an_error() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 1e-8]))
    before = weight.detach().clone()
    with pytest.raises(RuntimeError), displaced([weight], Gradient((torch.tensor([1e-3, 1e8]),), inner)):
        assert weight[1] == 1e8
        raise RuntimeError
    assert torch.equal(weight, before)


def test_it_alone_looks_ahead_and_needs_forget_terms_only() -> None:
    assert isinstance(flat(), LooksAhead) and not isinstance(rectified(), LooksAhead)
    assert flat().parts((("forget", "alternate"),)) == (("forget", "alternate"),)
    with pytest.raises(RecipeError, match="gradients: flat changes the forget gradient, and the method reads train"):
        flat().parts((("train",),))


@pytest.mark.parametrize("rho", [0, -1, float("nan"), True, "far"])
def test_a_length_without_meaning_is_refused(rho: object) -> None:
    with pytest.raises(RecipeError, match=r"gradients: flat: rho is .*; it must be a positive number"):
        build_gradient_rule("flat", {"rho": rho})
