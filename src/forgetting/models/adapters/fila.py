"""FILA: a LoRA that starts as the part of each weight that matters to the forget set and not to the retain set.

LoKU, Cha et al. 2025, section 3.4 (https://arxiv.org/abs/2408.06621): with F the Fisher information of a weight W,

    F_rel = F_forget / (F_retain + ε),   w = sqrt(row sums of F_rel),   U S Vᵀ = rank-r SVD of diag(w)·W,
    B₀ = diag(w)⁻¹ U S^½ / √s,   A₀ = S^½ Vᵀ / √s,   s = alpha / rank.

The paper then replaces W by W − s·B₀A₀, which rounds the base weights and makes them useless for anything else. Here W
is unchanged: the layer computes W x + s·(B A − B₀A₀) x, with B₀A₀ in a second, frozen adapter of opposite sign. So the
model is unchanged at the start, and is the original one without its adapters.

Choices where paper and released code leave one:
- ε = 1e-3 · median(F_retain) of the matrix, not the released 1e-5, which often exceeds every squared gradient, so that
  F_rel would be F_forget alone; `released` is that variant.
- B₀ is computed as W V S^-½ / √s, the same matrix without the division by w. Rows of w below 1e-3 of the largest are
  raised to that, so that no column of B₀ is large only because its rows are unimportant.
- On a model with adapters from earlier stages, W and F are those of the effective weight: base plus active adapters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from forgetting.core.errors import ModelError, RecipeError
from forgetting.core.example import Role
from forgetting.models.adapters.decompose import EXACT_UP_TO, top_singular
from forgetting.models.adapters.initialisation import Initialisation, Start

Epsilon = Literal["relative", "released"] | float
"""Added to the retain Fisher information: see `epsilon_of`."""
RELEASED_EPSILON = 1e-5
_RELATIVE_EPSILON = 1e-3
_ROW_FLOOR = 1e-3


def row_weights(forget: Tensor, retain: Tensor, epsilon: Epsilon = "relative") -> Tensor:
    """w of each row of a weight, `[out]`, from its Fisher information on forget and retain data, `[out, in]` each.

    `forgetting.training.importance` computes the same without storing the one on forget data.
    """
    relative = forget.double() / (retain.double() + epsilon_of(retain, epsilon))
    return relative.sum(1).sqrt()


def epsilon_of(retain: Tensor, epsilon: Epsilon) -> float:
    """ε of one matrix: the given number, `released` 1e-5, `relative` 1e-3 · the median of F_retain.

    Entries of exactly 0 (a unit that retain data never reach) are left out of the median; if there are no others, ε is
    1: a common factor of all rows, which does not change B₀A₀.
    """
    if epsilon == "released":
        return RELEASED_EPSILON
    if epsilon != "relative":
        return float(epsilon)
    median = float(torch.where(retain > 0, retain, torch.nan).nanmedian())
    return 1.0 if math.isnan(median) else _RELATIVE_EPSILON * median


def factors(
    weight: Tensor, importance: Tensor, *, rank: int, scaling: float, seed: int = 0, exact_up_to: int = EXACT_UP_TO
) -> tuple[Tensor, Tensor]:
    """B₀ `[out, r]` and A₀ `[r, in]`, float64: the minimiser of Σ_ij w_i² (W − s·B A)²_ij over rank r.

    Args:
        weight: W, `[out, in]`.
        importance: w, `[out]`, not negative. All zeros are treated as all equal: the plain SVD of W.
        rank: if it exceeds the smaller side of W, the rest of both factors is zero.
        scaling: s = alpha / rank.
    """
    weight = weight.double()
    w = importance.to(weight.device).double()
    w = torch.ones_like(w) if not w.any() else w.clamp_min(_ROW_FLOOR * float(w.max()))
    values, vectors = top_singular(w[:, None] * weight, rank, seed=seed, exact_up_to=exact_up_to)
    values, vectors = values.to(weight.device), vectors.to(weight.device)
    kept = values > 1e-7 * values[0]  # the Gram matrix resolves no smaller ones
    root = torch.where(kept, values, 1.0).sqrt()
    a = torch.where(kept[:, None], root[:, None] * vectors, 0.0) / scaling**0.5
    b = torch.where(kept, weight @ vectors.T / root, 0.0) / scaling**0.5
    missing = rank - len(values)
    return torch.nn.functional.pad(b, (0, missing)), torch.nn.functional.pad(a, (0, 0, 0, missing))


@dataclass(frozen=True)
class Fila(Initialisation):
    """FILA's start from the importance w `[out]` of each matrix; subclasses measure w.

    Raises:
        RecipeError: an invalid ε.
    """

    epsilon: Epsilon = "relative"
    limit: int | None = None
    roles = (Role.FORGET, Role.RETAIN)
    subtract = True

    def __post_init__(self) -> None:
        if self.epsilon not in ("relative", "released") and not 0 < float(self.epsilon) < math.inf:
            raise RecipeError(f"FILA's epsilon is {self.epsilon}; write relative, released or a number above 0")

    def start(
        self, module: str, weight: Tensor, prepared: Tensor | None, *, rank: int, scaling: float, seed: int
    ) -> Start:
        """B₀ and A₀ of one matrix; `prepared` is its w."""
        if prepared is None or prepared.shape != weight.shape[:1] or not torch.isfinite(prepared).all():
            what = "no importance" if prepared is None else f"an importance that is not {len(weight)} finite numbers"
            raise ModelError(f"FILA: {what} for {module}; measure it on this model's forget and retain data")
        return Start(*factors(weight, prepared, rank=rank, scaling=scaling, seed=seed))
