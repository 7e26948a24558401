"""Forget-to-Focus eq. 3 with either sign, and the bounds on what it does to ‖P_U θ‖."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.surrogate.risks import Array, Risk
from experiments.surrogate.world import World

Direction = Literal["ascent", "descent"]


@dataclass(frozen=True)
class Weights:
    """η, λ, σ and T_u of eq. 3."""

    rate: float = 0.2
    forget: float = 1.0
    retain: float = 0.5
    steps: int = 60


@dataclass(frozen=True)
class Trace:
    """What one run of eq. 3 did."""

    path: Array
    """θ₀ … θ_T, shape (T + 1, p)."""
    norms: Array
    """‖P_U θ_t‖, shape (T + 1,)."""
    upper: Array
    """Bound (1) on ‖P_U θ_{t+1}‖ from θ_t, G_R being the largest ‖P_U ∇L_R‖ of the path: shape (T,)."""
    upper_all: Array
    """Its bound on ‖P_U θ_t‖ after t steps: shape (T + 1,)."""
    lower: Array
    """What ascent stays above in one step from θ_t, with ‖P_U ∇L_R(θ_t)‖ itself: shape (T,)."""

    def excess(self) -> float:
        """The largest ‖P_U θ⁺‖ ÷ one-step bound; infinite where the bound is not positive. At most 1 if it holds."""
        return self._largest_ratio(self.norms[1:], self.upper)

    def excess_all(self) -> float:
        """The largest ‖P_U θ_t‖ ÷ bound after t steps."""
        return self._largest_ratio(self.norms, self.upper_all)

    def shortfall(self) -> float:
        """The largest (lower bound of ascent) ÷ ‖P_U θ⁺‖: at most 1 where growth is certain."""
        return float(np.max(self.lower / self.norms[1:]))

    def _largest_ratio(self, values: Array, bounds: Array) -> float:
        over = values - 1e-12 * np.linalg.norm(self.path, axis=1).max()  # less what rounding of θ adds to P_U θ
        if np.any((bounds <= 0) & (over > 0)):
            return float("inf")
        return float(np.max(np.maximum(over, 0.0) / np.maximum(bounds, 1e-300)))


def unlearn(world: World, forget: Risk, direction: Direction, weights: Weights, start: Array | None = None) -> Trace:
    """θ ← θ ± ηλ∇L_F(θ) − ησ∇L_R(θ): + is eq. 3 as printed (ascent), − what the proposition's proof needs."""
    sign = 1.0 if direction == "ascent" else -1.0
    theta = world.start if start is None else start
    path, pushes = [theta], []
    for _ in range(weights.steps):
        retained = world.retain.gradient(theta)
        pushes.append(float(np.linalg.norm(world.u(retained))))
        theta = theta + weights.rate * (sign * weights.forget * forget.gradient(theta) - weights.retain * retained)
        path.append(theta)
    return _trace(world, forget, weights, np.array(path), np.array(pushes))


def _trace(world: World, forget: Risk, weights: Weights, path: Array, pushes: Array) -> Trace:
    norms = np.linalg.norm(world.u(path), axis=1)
    strong = world.strong(forget)
    shrink, most = 1 - weights.rate * weights.forget * strong, float(pushes.max(initial=0.0))
    times = np.arange(len(norms))
    curved = weights.forget * strong
    floor = weights.retain * most / curved if curved > 0 else np.inf
    return Trace(
        path=path,
        norms=norms,
        upper=shrink * norms[:-1] + weights.rate * weights.retain * most,
        upper_all=shrink**times * norms[0] + floor,
        lower=(2 - shrink) * norms[:-1] - weights.rate * weights.retain * pushes,
    )
