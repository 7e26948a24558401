"""SAM: the forget gradient at the weights to which a small step of relearning would lead."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules.registry import register_gradient_rule
from forgetting.objectives.gradient_rules.rule import Gradient, Group, Stateless, forget_first


class Flat(Stateless):
    """See `flat`."""

    def __init__(self, rho: float) -> None:
        self.rho = rho

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The forget roles, and the others if there are any."""
        return forget_first("flat", groups)

    def ahead(self, first: Gradient) -> Gradient:
        """ρ·g_f/‖g_f‖; no displacement where the gradient is 0."""
        length = first.norm()
        return first.scaled(self.rho / length if length else 0.0)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """The sum."""
        forget, *rest = gradients
        for other in rest:
            forget = forget.add_(other)
        return forget


@register_gradient_rule(
    "flat",
    paper="arXiv 2502.05374",
    when="What was forgotten should not come back by a few steps of training; twice the time for forget rows.",
)
def flat(rho: float = 0.01) -> Flat:
    """SAM: ∇L_f(θ + ρ·g_f/‖g_f‖) + ∇L_r(θ), g_f = ∇L_f(θ) (arXiv 2502.05374, Unlearn-Smooth).

    L_f are the forget terms, which fall as the model forgets, so the displacement is the one step of length ρ by which
    it would relearn most. All trained parameters are one vector; the others' gradient is at θ. It costs one forward and
    backward pass more for the forget rows, and memory for a copy of the trained weights. A weight in 16 bits may not
    see so small a displacement: train all weights in fp32, or an adapter.

    Args:
        rho: length of the displacement; the paper searches 0.001 to 0.1 and takes 0.01.

    Raises:
        RecipeError: ρ is not a positive number.
    """
    if isinstance(rho, bool) or not isinstance(rho, int | float) or not 0 < rho < math.inf:
        raise RecipeError(f"gradients: flat: rho is {rho!r}; it must be a positive number")
    return Flat(float(rho))
