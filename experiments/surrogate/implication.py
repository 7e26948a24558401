"""Eq. 1 of Forget-to-Focus: does a closer start fine-tune to a lower loss? Quadratics ½·Σ hᵢθᵢ², θ* = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.surrogate.risks import Array


def after(curvatures: Array, start: Array, alpha: float, steps: int) -> float:
    """The loss after `steps` of gradient descent with step size α, taken one by one; shapes (p,)."""
    theta = start
    for _ in range(steps):
        theta = theta - alpha * curvatures * theta
    return float(curvatures @ theta**2 / 2)


@dataclass(frozen=True)
class Rivals:
    """The closed counter-example: (r, 0) on the flat axis, curvature μ, against (0, 1) on the steep one, β."""

    mu: float = 0.1
    beta: float = 1.0
    r: float = 0.5
    alpha: float = 0.5
    """Below 1/β: at 1/β the farther start is at the minimum after one step."""

    def closer(self, steps: int) -> float:
        """½μr²(1 − αμ)²ᵏ."""
        return self.mu * self.r**2 / 2 * (1 - self.alpha * self.mu) ** (2 * steps)

    def farther(self, steps: int) -> float:
        """½β(1 − αβ)²ᵏ."""
        return self.beta / 2 * (1 - self.alpha * self.beta) ** (2 * steps)

    def turn(self) -> int:
        """The first k after which the closer start is worse: k > log(β/(μr²)) ÷ 2·log((1 − αμ)/(1 − αβ))."""
        speed = 2 * math.log((1 - self.alpha * self.mu) / (1 - self.alpha * self.beta))
        return math.floor(math.log(self.beta / (self.mu * self.r**2)) / speed) + 1

    def descended(self, steps: int) -> tuple[float, float]:
        """Losses of the closer and the farther start by gradient descent itself."""
        curvatures = np.array([self.mu, self.beta])
        starts = np.array([self.r, 0.0]), np.array([0.0, 1.0])
        return after(curvatures, starts[0], self.alpha, steps), after(curvatures, starts[1], self.alpha, steps)


def violated(
    curvatures: Array, alpha: float, steps: int, *, pairs: int = 10_000, only: int = 0, seed: int = 0
) -> float:
    """The share of random pairs of starts in which the closer one ends at the higher loss.

    The starts of a pair are normal; beyond the first `only` coordinates (0: all are free) they are equal.
    """
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, pairs, len(curvatures)))
    if only:
        second[:, only:] = first[:, only:]
    weights = curvatures * (1 - alpha * curvatures) ** (2 * steps)
    nearer = (first**2).sum(1) - (second**2).sum(1)
    lower = first**2 @ weights - second**2 @ weights
    return float(np.mean(nearer * lower < 0))
