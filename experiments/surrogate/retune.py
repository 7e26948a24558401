"""Fine-tuning on the domain risk by gradient descent: its length, and the corollary's bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.surrogate.risks import Array
from experiments.surrogate.world import World

EPSILON = 1e-4
"""The target ε for L_D(θ) − L_D(θ*)."""


def gap(world: World, theta: Array) -> float:
    """L_D(θ) − L_D(θ*)."""
    return world.domain.value(theta) - world.domain.value(world.goal)


@dataclass(frozen=True)
class Retuned:
    """What gradient descent on L_D did from one start."""

    distance: float
    """‖θ̃₀ − θ*‖."""
    before: float
    """L_D(θ̃₀) − L_D(θ*)."""
    steps: int
    """Until the gap is at most ε."""
    printed: float
    """The corollary's bound (β/μ)·log(gap/ε); 0 where the start is good enough already."""
    proved: float
    """(1/(αμ))·log(gap/ε), which holds for every step size α ≤ 1/β."""
    after: float
    """The gap after `length` steps."""

    @property
    def smoothness(self) -> float:
        """gap ÷ ‖θ̃₀ − θ*‖²."""
        return self.before / self.distance**2


def retune(world: World, start: Array, *, part: float = 1.0, epsilon: float = EPSILON, length: int = 0) -> Retuned:
    """Gradient descent on L_D with step size α = part/β from `start`; `length` steps are taken for `after`.

    Raises:
        ValueError: `part` is not in (0, 1].
    """
    if not 0 < part <= 1:
        raise ValueError("part must be in (0, 1]: the step size is part/β")
    beta, mu = world.smooth(world.domain), world.domain.ridge
    before = gap(world, start)
    factor = math.log(before / epsilon) / mu if before > epsilon else 0.0
    theta, steps = start, 0
    while gap(world, theta) > epsilon:
        theta = theta - part / beta * world.domain.gradient(theta)
        steps += 1
    return Retuned(
        distance=float(np.linalg.norm(start - world.goal)),
        before=before,
        steps=steps,
        printed=beta * factor,
        proved=beta / part * factor,
        after=gap(world, descend(world, start, length)),
    )


def descend(world: World, theta: Array, length: int) -> Array:
    """`length` steps of gradient descent on L_D with step size 1/β."""
    for _ in range(length):
        theta = theta - world.domain.gradient(theta) / world.smooth(world.domain)
    return theta
