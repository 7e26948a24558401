"""Risks of a linear model f(x) = θ·x in float64: value, gradient, Hessian, and the minimiser by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class RowLoss(Protocol):
    """A loss of every row's score z = x·θ; all arrays have shape (n,)."""

    def value(self, z: Array) -> Array:
        """The losses."""

    def slope(self, z: Array) -> Array:
        """Their derivatives by z."""

    def curvature(self, z: Array) -> Array:
        """Their second derivatives by z."""


def sigmoid(z: Array) -> Array:
    """1 / (1 + e⁻ᶻ), without overflow."""
    return np.exp(-np.logaddexp(0.0, -z))


@dataclass(frozen=True)
class Square:
    """½(z − y)²: linear regression. Neutral target: y = 0."""

    target: Array

    def value(self, z: Array) -> Array:
        return (z - self.target) ** 2 / 2

    def slope(self, z: Array) -> Array:
        return z - self.target

    def curvature(self, z: Array) -> Array:
        return np.ones_like(z)


@dataclass(frozen=True)
class CrossEntropy:
    """−q·log σ(z) − (1 − q)·log σ(−z): logistic regression on labels q in [0, 1]. Neutral target: q = ½."""

    target: Array

    def value(self, z: Array) -> Array:
        return np.logaddexp(0.0, z) - self.target * z

    def slope(self, z: Array) -> Array:
        return sigmoid(z) - self.target

    def curvature(self, z: Array) -> Array:
        return sigmoid(z) * sigmoid(-z)


@dataclass(frozen=True)
class Probability:
    """p(y|x) = σ(s·z), s = ±1 the label's sign: bounded, so that its slope vanishes once the label is forgotten."""

    sign: Array

    def value(self, z: Array) -> Array:
        return sigmoid(self.sign * z)

    def slope(self, z: Array) -> Array:
        p = sigmoid(self.sign * z)
        return self.sign * p * (1 - p)

    def curvature(self, z: Array) -> Array:
        p = sigmoid(self.sign * z)
        return p * (1 - p) * (1 - 2 * p)


@dataclass(frozen=True)
class NPO:
    """(2/b)·log(1 + (π/π_ref)ᵇ), π = σ(s·z): negative preference optimisation (Forget-to-Focus eq. 4)."""

    sign: Array
    reference: Array
    """log π_ref of every row."""
    b: float = 0.1

    def value(self, z: Array) -> Array:
        return 2 / self.b * np.logaddexp(0.0, self.b * self._ratio(z))

    def slope(self, z: Array) -> Array:
        return 2 * sigmoid(self.b * self._ratio(z)) * self.sign * sigmoid(-self.sign * z)

    def curvature(self, z: Array) -> Array:
        weight, rest = sigmoid(self.b * self._ratio(z)), sigmoid(-self.sign * z)
        return 2 * weight * (self.b * (1 - weight) * rest**2 - rest * (1 - rest))

    def _ratio(self, z: Array) -> Array:
        return -np.logaddexp(0.0, -self.sign * z) - self.reference


@dataclass(frozen=True)
class Risk:
    """mean over rows of loss(x·θ) + ridge/2·‖θ‖²; `inputs` has shape (n, p), θ and gradients (p,)."""

    inputs: Array
    loss: RowLoss
    ridge: float = 0.0

    def value(self, theta: Array) -> float:
        """The risk at θ."""
        return float(self.loss.value(self.inputs @ theta).mean() + self.ridge / 2 * theta @ theta)

    def gradient(self, theta: Array) -> Array:
        """∇ of the risk at θ."""
        return self.inputs.T @ self.loss.slope(self.inputs @ theta) / len(self.inputs) + self.ridge * theta

    def hessian(self, theta: Array) -> Array:
        """The matrix of second derivatives at θ, shape (p, p)."""
        weights = self.loss.curvature(self.inputs @ theta)[:, None]
        return self.inputs.T @ (weights * self.inputs) / len(self.inputs) + self.ridge * np.eye(len(theta))

    def moments(self) -> Array:
        """XᵀX/n, shape (p, p)."""
        return self.inputs.T @ self.inputs / len(self.inputs)


def minimiser(*risks: Risk) -> Array:
    """Where the sum of convex risks is least: Newton's method, steps halved while they do not descend.

    Raises:
        ValueError: no risk has a ridge, so that there may be no minimum; or 100 steps do not find it.
    """
    if not any(risk.ridge > 0 for risk in risks):
        raise ValueError("no risk has a ridge: there may be no minimum")
    theta = np.zeros(risks[0].inputs.shape[1])
    for _ in range(100):
        gradient = np.sum([risk.gradient(theta) for risk in risks], axis=0)
        if np.linalg.norm(gradient) < 1e-12:
            return theta
        step = np.linalg.solve(np.sum([risk.hessian(theta) for risk in risks], axis=0), gradient)
        before, size = sum(risk.value(theta) for risk in risks), 1.0
        while sum(risk.value(theta - size * step) for risk in risks) > before + 1e-13 * abs(before) and size > 1e-6:
            size /= 2
        theta = theta - size * step
    raise ValueError("no minimum found in 100 steps")
