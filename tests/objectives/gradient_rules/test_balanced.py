"""The ascent has a fixed share of the descent's length, whatever its own."""

from __future__ import annotations

import pytest
import torch

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules import build_gradient_rule
from forgetting.objectives.gradient_rules.balanced import balanced
from forgetting.objectives.gradient_rules.rule import Gradient
from forgetting.training.gradients import inner


def pair(scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return scale * torch.randn(9, generator=generator, dtype=torch.float64), torch.randn(
        9, generator=generator, dtype=torch.float64
    )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("share", [0.1, 2.0])
def test_the_ascent_s_length_is_a_share_of_the_descent_s(scale: float, share: float) -> None:
    up, down = pair(scale)
    expected = down + share * down.norm() / up.norm() * up
    parts = [Gradient((t[:4].clone(), t[4:].clone()), inner) for t in (up, down)]
    found = balanced(share).combine(parts)
    torch.testing.assert_close(torch.cat([t for t in found.tensors if t is not None]), expected, rtol=1e-12, atol=0)


def test_without_ascent_the_descent_is_left_alone() -> None:
    _, down = pair(1.0)
    found = balanced().combine([Gradient((torch.zeros(9),), inner), Gradient((down.clone(),), inner)])
    assert torch.equal(found.tensors[0], down)  # type: ignore[arg-type]
    none = balanced().combine([Gradient((None,), inner), Gradient((down.clone(),), inner)])
    assert torch.equal(none.tensors[0], down)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0, -1, float("inf"), "half", True])
def test_a_share_without_meaning_is_refused(share: object) -> None:
    with pytest.raises(RecipeError, match=r"gradients: balanced: share is .*; it must be a positive number"):
        build_gradient_rule("balanced", {"share": share})
