"""RepSelect's rule: the published collapse, in float64, of matrices of any shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules import build_gradient_rule, selective
from forgetting.objectives.gradient_rules.rule import Gradient
from forgetting.objectives.gradient_rules.selective import strongest
from forgetting.training.gradients import inner

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "repselect.json").read_text())["RepSelect"]["collapsed"]


def drawn() -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(11)
    sides = (random.standard_normal((8, 12)) * share ** np.arange(12) for share in (0.7, 0.6))
    forget, rest = (torch.from_numpy(side) for side in sides)
    return forget, rest


def gradient(*tensors: Tensor | None) -> Gradient:
    return Gradient(tuple(None if t is None else t.clone() for t in tensors), inner)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("collapse", ["soft", "quadratic", "hard"])
@pytest.mark.parametrize("shared", ["forget", "rest"])
def test_both_sides_are_collapsed_as_published(shared: Any, collapse: Any, turned: bool) -> None:
    forget, rest = (g.T if turned else g for g in drawn())
    found = selective(2, collapse, shared).combine([gradient(forget), gradient(rest)]).tensors[0]
    assert found is not None
    selected = (found - rest).T if turned else found - rest
    np.testing.assert_allclose(selected, GOLDEN[f"{shared}, {collapse}"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_the_directions_are_those_of_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, s, v = strongest(matrix, 2)
    every = torch.linalg.svd(matrix)
    torch.testing.assert_close(s, every.S[:2])
    torch.testing.assert_close(u * s @ v.T, every.U[:, :2] * every.S[:2] @ every.Vh[:2])
    assert len(strongest(matrix, 100)[1]) == 2  # a quarter of the smaller side


def test_weak_directions_stay_and_strong_ones_become_weaker_than_the_last_of_them() -> None:
    forget, _ = drawn()
    found = selective(2).combine([gradient(forget)]).tensors[0]
    assert found is not None
    before, after = (torch.linalg.svdvals(g) for g in (forget, found))
    expected = torch.cat([before[1:2] ** 2 / before[0], before[1:]]).sort(descending=True).values
    torch.testing.assert_close(after, expected)


def test_what_is_no_matrix_is_moved_by_the_others_alone_and_nothing_by_nothing() -> None:
    forget, rest = drawn()
    zero = torch.zeros_like(forget)
    found = selective(2).combine([gradient(zero, torch.ones(3), None), gradient(rest, torch.full((3,), 2.0), None)])
    assert torch.equal(found.tensors[0], rest)  # type: ignore[arg-type]
    assert found.tensors[1].tolist() == [2, 2, 2] and found.tensors[2] is None  # type: ignore[union-attr]


def test_directions_that_are_only_rounding_do_not_count() -> None:
    one = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 13.0))
    assert len(strongest(one, 2)[1]) == 1
    found = selective(2).combine([gradient(one)]).tensors[0]
    torch.testing.assert_close(found, one)  # the only direction is the last of the strongest


def test_forget_terms_alone_are_enough_unless_the_others_directions_are_asked_for() -> None:
    assert selective().parts((("forget",),)) == (("forget",),)
    assert selective().parts((("retain",), ("forget",))) == (("forget",), ("retain",))
    with pytest.raises(RecipeError, match="selective weighs the forget terms against the others"):
        selective(shared="rest").parts((("forget",),))
    with pytest.raises(RecipeError, match="selective changes the forget gradient, and the method reads train only"):
        selective().parts((("train",),))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"components": 0}, "components is 0; it must be a whole number above 0"),
        ({"collapse": "softly"}, "unknown collapse 'softly'; did you mean 'soft'?"),
        ({"shared": "retain"}, "unknown shared 'retain'"),
    ],
)
def test_a_value_without_meaning_is_named(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_gradient_rule("selective", parameters)
    assert f"gradients: selective: {said}" in str(caught.value)
