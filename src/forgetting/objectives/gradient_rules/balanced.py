"""Scales the ascent gradient to a fixed share of the descent gradient's length."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules.registry import register_gradient_rule
from forgetting.objectives.gradient_rules.rule import Gradient, Group, Stateless, forget_and_rest


class Balanced(Stateless):
    """See `balanced`."""

    def __init__(self, share: float) -> None:
        self.share = share

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The forget roles, and the others."""
        return forget_and_rest("balanced", groups)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """g_r + share·(‖g_r‖/‖g_f‖)·g_f."""
        forget, rest = gradients
        length = forget.norm()
        return rest if length == 0 else rest.add_(forget, self.share * rest.norm() / length)


@register_gradient_rule(
    "balanced",
    paper="github.com/claserken/SISS",
    when="Ascent without a bound should not outgrow the descent.",
)
def balanced(share: float = 0.1) -> Balanced:
    """g_r + share·(‖g_r‖/‖g_f‖)·g_f: the forget gradient scaled to a fixed share of the others' length.

    g_f is the gradient of the forget terms, g_r that of all others; term weights matter only within each. An unbounded
    ascent cannot outgrow the descent. SISS treats its second gradient in this way (claserken/SISS, for diffusion
    models), with a given length instead of a share.

    Extra cost over a plain step: memory for one gradient; no further forward or backward pass.

    Args:
        share: of the length of g_r; above 1 the ascent is longer.

    Raises:
        RecipeError: the share is not a positive number.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < math.inf:
        raise RecipeError(f"gradients: balanced: share is {share!r}; it must be a positive number")
    return Balanced(float(share))
