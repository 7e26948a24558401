"""One surrogate problem: the spaces V and U, the risks of forget, retain and domain data, θ₀ and θ*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.surrogate.risks import Array, CrossEntropy, Risk, RowLoss, Square, minimiser, sigmoid

Kind = Literal["regression", "logistic"]


@dataclass(frozen=True)
class World:
    """V and U are orthonormal bases as columns, shapes (p, dim V) and (p, dim U)."""

    kind: Kind
    V: Array
    U: Array
    natural: Risk
    """The forget data with their own labels, which a rule in U made: its least risk on U is at u_F ≠ 0."""
    neutral: Risk
    """The forget inputs with the target that says nothing (0, or probability ½): least risk on U at 0."""
    retain: Risk
    domain: Risk
    start: Array
    """θ₀: the minimiser over forget data and data of a general task in V, as a pretrained model."""
    goal: Array
    """θ*: the minimiser of the domain risk; it lies in V, because the domain's inputs do."""

    def u(self, theta: Array) -> Array:
        """Coordinates of P_U θ; also of every row of a path of shape (T + 1, p)."""
        return theta @ self.U

    def v(self, theta: Array) -> Array:
        """Coordinates of P_V θ."""
        return theta @ self.V

    def strong(self, risk: Risk) -> float:
        """μ_F: the least curvature of a risk on U, over all θ (a logistic loss can flatten out: its ridge is left)."""
        least = float(np.linalg.eigvalsh(self.U.T @ risk.moments() @ self.U)[0])
        return risk.ridge + (least if self.kind == "regression" else 0.0)

    def smooth(self, risk: Risk) -> float:
        """β: the largest curvature of a risk in any direction, over all θ."""
        most = float(np.linalg.eigvalsh(risk.moments())[-1])
        return risk.ridge + most * (1.0 if self.kind == "regression" else 0.25)


@dataclass(frozen=True)
class Shape:
    """How a problem is drawn. Spectra are the eigenvalues of XᵀX/n."""

    kind: Kind = "regression"
    on_v: tuple[float, ...] = (1.0, 0.6, 0.35, 0.2, 0.1, 0.05)
    """Spectrum of the domain inputs on V."""
    on_u: tuple[float, ...] = (1.0, 0.7, 0.4, 0.2)
    """Spectrum of the forget inputs on U."""
    general_on_u: tuple[float, ...] = (0.2, 1.0, 0.5, 0.1)
    """Spectrum on U of the general inputs that θ₀ was trained on beside the forget data."""
    rows: int = 160
    forget_ridge: float = 0.0
    """Regularisation of the forget risk; it also pulls at V."""
    domain_ridge: float = 0.01
    """Regularisation of domain and retain risk."""
    leak: float = 0.3
    """Size of the retain inputs' accidental part in U."""
    tilt: float = 0.0
    """Size of the forget inputs' part in V that is correlated with their part in U; 0: L_F is separable."""


def draw(shape: Shape, seed: int) -> World:
    """A problem of that shape. Inputs are whitened, so that the spectra are met exactly and not on average."""
    rng = np.random.default_rng(seed)
    p, split = len(shape.on_v) + len(shape.on_u), len(shape.on_v)
    basis = _orthonormal(rng.standard_normal((p, p)))
    V, U = basis[:, :split], basis[:, split:]
    signals = np.sqrt(shape.rows) * _orthonormal(rng.standard_normal((shape.rows, p)))
    in_v, in_u = signals[:, :split] * np.sqrt(shape.on_v), signals[:, split:] * np.sqrt(shape.on_u)
    mix = rng.standard_normal((len(shape.on_u), split)) / np.sqrt(split)
    forget = in_u @ U.T + shape.tilt * in_u @ mix @ V.T
    few = shape.rows // 4
    retain = (in_v @ V.T + shape.leak * rng.standard_normal(in_u.shape) @ U.T)[:few]
    domain = in_v @ V.T
    general = signals * np.sqrt(np.concatenate([np.ones(split), shape.general_on_u])) @ basis.T

    domain_rule = V @ rng.standard_normal(split)
    general_rule = domain_rule + 0.5 * V @ rng.standard_normal(split)
    forget_rule = U @ (2 * rng.standard_normal(len(shape.on_u)))
    labels = _labels(shape.kind, domain @ domain_rule)
    said = _labels(shape.kind, forget @ forget_rule)
    natural = Risk(forget, _loss(shape.kind, np.round(said) if shape.kind == "logistic" else said), shape.forget_ridge)
    nothing = np.full(shape.rows, 0.0 if shape.kind == "regression" else 0.5)
    on_domain = Risk(domain, _loss(shape.kind, labels), shape.domain_ridge)
    pretraining = Risk(general, _loss(shape.kind, _labels(shape.kind, general @ general_rule)), shape.domain_ridge)
    return World(
        kind=shape.kind,
        V=V,
        U=U,
        natural=natural,
        neutral=Risk(forget, _loss(shape.kind, nothing), shape.forget_ridge),
        retain=Risk(retain, _loss(shape.kind, labels[:few]), shape.domain_ridge),
        domain=on_domain,
        start=minimiser(natural, pretraining),
        goal=minimiser(on_domain),
    )


def draw_any(kind: Kind, seed: int) -> World:
    """A separable problem of random size, spectra, regularisation and leak."""
    rng = np.random.default_rng([seed, 1])
    many = rng.integers(1, 6)
    shape = Shape(
        kind=kind,
        on_v=tuple(10 ** rng.uniform(-1.5, 0.5, rng.integers(1, 7))),
        on_u=tuple(10 ** rng.uniform(-1.5, 0.5, many)),
        general_on_u=tuple(10 ** rng.uniform(-1.5, 0.5, many)),
        rows=int(rng.integers(40, 120)),
        forget_ridge=float(10 ** rng.uniform(-2, -0.5)),
        domain_ridge=float(10 ** rng.uniform(-1.5, -1)),
        leak=float(rng.uniform(0, 0.5)),
    )
    return draw(shape, seed)


def _loss(kind: Kind, target: Array) -> RowLoss:
    return Square(target) if kind == "regression" else CrossEntropy(target)


def _labels(kind: Kind, scores: Array) -> Array:
    """The output of a rule on its inputs: a score, or the probability of a yes."""
    return scores if kind == "regression" else sigmoid(scores)


def _orthonormal(matrix: Array) -> Array:
    """The Q of QR with a positive diagonal of R, which makes it unique whatever the linear algebra underneath."""
    q, r = np.linalg.qr(matrix)
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float64)
