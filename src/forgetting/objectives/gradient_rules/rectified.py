"""GRU: the forget gradient without the component that opposes retention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forgetting.core.errors import RecipeError
from forgetting.objectives.gradient_rules.registry import register_gradient_rule
from forgetting.objectives.gradient_rules.rule import Gradient, Group, forget_and_rest


class Rectified:
    """See `rectified`."""

    def __init__(self, gamma: float, add_retain: bool) -> None:
        self.gamma, self.add_retain = gamma, add_retain
        self._mean: tuple[Any, ...] | None = None

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The forget roles, and the others."""
        return forget_and_rest("rectified", groups)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """One step: moves M, then rectifies."""
        forget, retain = gradients
        if self._mean is None:
            mean = retain.scaled(self.gamma)
        else:
            mean = Gradient(self._mean, retain.inner).mul_(1 - self.gamma).add_(retain, self.gamma)
        self._mean = mean.tensors
        conflict = forget.dot(mean)
        if conflict < 0:
            forget = forget.add_(mean, -conflict / mean.dot(mean))
        return forget.add_(retain) if self.add_retain else forget

    def state_dict(self) -> Mapping[str, Any]:
        """M, if there is one yet."""
        return {} if self._mean is None else {"mean": self._mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts M back."""
        self._mean = state.get("mean")


@register_gradient_rule(
    "rectified",
    paper="arXiv 2503.09117",
    when="Forgetting must not raise the retain loss.",
)
def rectified(gamma: float = 0.8, add_retain: bool = True) -> Rectified:
    """GRU: if ⟨g_f, M⟩ < 0, g_f ← g_f − (⟨g_f, M⟩/⟨M, M⟩)·M, before the optimiser (arXiv 2503.09117).

    g_f is the gradient of the forget terms, g_r that of all others, with their weights; M ← γ·g_r + (1 − γ)·M, from 0,
    so γ weighs the new gradient. All parameters are one vector. To first order the rectified g_f no longer raises the
    loss behind M; Adam's scaling afterwards can restore some of the conflict. The released code clips the cosine at
    −0.5, which leaves a conflict (⟨g_f, M⟩ < 0) if the two oppose more than that; here none remains.

    With γ 1 and without `add_retain` it is A-GEM's projection on the gradient of this step's retain rows (arXiv
    1812.00420, eq. 11), for which the forget terms are the new task.

    Extra cost over a plain step: memory for two gradients (M and g_r), and M in the checkpoint; no further forward or
    backward pass, but forget and retain rows go through the model one after the other.

    Args:
        gamma: share of the new gradient in M.
        add_retain: whether the step is g_f + g_r (as in `graddiff`) or g_f alone (as in the paper).

    Raises:
        RecipeError: γ is not above 0 and at most 1, or `add_retain` is neither true nor false.
    """
    if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not 0 < gamma <= 1:
        raise RecipeError(f"gradients: rectified: gamma is {gamma!r}; it must be above 0 and at most 1")
    if not isinstance(add_retain, bool):
        raise RecipeError(f"gradients: rectified: add_retain is {add_retain!r}; it must be true or false")
    return Rectified(float(gamma), add_retain)
