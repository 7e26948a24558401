"""RepSelect: the forget gradient of each matrix without its strongest directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from forgetting.core.errors import RecipeError, nearest
from forgetting.objectives.gradient_rules.registry import register_gradient_rule
from forgetting.objectives.gradient_rules.rule import Gradient, Group, Stateless, forget_and_rest, forget_first

Collapse = Literal["soft", "quadratic", "hard"]
Shared = Literal["forget", "rest"]
_POWERS = {"soft": 1.0, "quadratic": 2.0, "hard": float("inf")}
_SMALLEST = 1e-6
"""Directions below this share of the strongest are rounding."""


class Selective(Stateless):
    """See `selective`."""

    def __init__(self, components: int, collapse: Collapse, shared: Shared) -> None:
        self.components, self.power, self.shared = components, _POWERS[collapse], shared

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The forget roles, and the others if there are any."""
        return (forget_first if self.shared == "forget" else forget_and_rest)("selective", groups)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """The collapsed forget gradient and the others."""
        forget, *rest = gradients
        bases: list[tuple[Tensor, ...] | None] = [None] * len(forget.tensors)
        if self.shared == "rest":
            rest[0].changed(lambda index, g: self._keep(bases, index, g))
        found = forget.changed(lambda index, g: self._selected(g, bases[index]))
        for other in rest:
            found = found.add_(other)
        return found

    def _keep(self, bases: list[tuple[Tensor, ...] | None], index: int, gradient: Tensor) -> Tensor:
        if gradient.dim() == 2:
            bases[index] = strongest(gradient, self.components)
        return gradient

    def _selected(self, gradient_OI: Tensor, basis: tuple[Tensor, ...] | None) -> Tensor:
        if gradient_OI.dim() != 2:
            return torch.zeros_like(gradient_OI)
        u_OK, s_K, v_IK = strongest(gradient_OI, self.components) if basis is None else basis
        left_K = (s_K[-1] / s_K) ** self.power if self.power < float("inf") else torch.zeros_like(s_K)
        inner_OI = gradient_OI - (gradient_OI @ v_IK * (1 - left_K)) @ v_IK.T
        return inner_OI - u_OK @ ((1 - left_K)[:, None] * (u_OK.T @ inner_OI))


@torch.no_grad()
def strongest(gradient_OI: Tensor, components: int) -> tuple[Tensor, Tensor, Tensor]:
    """U `[out, k]`, the singular values `[k]` from the largest, and V `[in, k]` of the strongest directions.

    k is `components`, at most a quarter of the smaller side, and no direction that is only rounding.
    """
    wide = gradient_OI.shape[0] <= gradient_OI.shape[1]
    exact_OI = gradient_OI.cpu().double() if gradient_OI.device.type == "mps" else gradient_OI.double()
    short = exact_OI if wide else exact_OI.T  # the Gram matrix of the smaller side
    squares, vectors = torch.linalg.eigh(short @ short.T)
    s_K = squares.clamp_min(0).sqrt().flip(0)[: max(1, min(components, len(squares) // 4))]
    s_K = s_K[: max(1, int((s_K > _SMALLEST * s_K[0]).sum()))].clamp_min(1e-30)
    own = vectors.flip(1)[:, : len(s_K)]
    other = short.T @ own / s_K
    u, v = (own, other) if wide else (other, own)
    return u.to(gradient_OI), s_K.to(gradient_OI), v.to(gradient_OI)


@register_gradient_rule(
    "selective",
    paper="arXiv 2606.17168",
    when="What was forgotten should not come back by fine-tuning or examples in the prompt.",
)
def selective(components: int = 512, collapse: Collapse = "soft", shared: Shared = "forget") -> Selective:
    """RepSelect: the forget gradient of each matrix with its k strongest directions shrunk (arXiv 2606.17168).

    G = U·S·Vᵀ of the whole step; both sides are shrunk, first G ← G − G·V·(1−f)·Vᵀ, then G ← G − U·(1−f)·Uᵀ·G, with
    f_i = s_k/s_i (`soft`), its square (`quadratic`) or 0 (`hard`): what many texts share is in the strongest
    directions. Of parameters that are no matrices the forget terms move nothing. The gradients of the others are added
    unchanged.

    The released code forms one gradient over the forget set, at weights that a LoRA first taught the forget set, and
    only for the MLP's matrices, and takes that step again and again; here it is formed anew in every step, for all
    trained matrices, without the LoRA. k is at most a quarter of a matrix's smaller side: the code's 512 are for
    models of 3 to 9 billion weights.

    Extra cost over a plain step: memory for a gradient, and the eigenvectors of one Gram matrix per trained matrix.

    Args:
        components: k, 512 in the released code.
        collapse: `soft` as in the paper's runs, `quadratic` or `hard`.
        shared: whose gradient the directions are of: `forget`, or `rest` (the retain terms).

    Raises:
        RecipeError: an invalid value.
    """
    if isinstance(components, bool) or not isinstance(components, int) or components < 1:
        raise RecipeError(f"gradients: selective: components is {components!r}; it must be a whole number above 0")
    for key, value, known in (("collapse", collapse, get_args(Collapse)), ("shared", shared, get_args(Shared))):
        if value not in known:
            raise RecipeError(f"gradients: selective: unknown {key} '{value}'; {nearest(str(value), known)}")
    return Selective(components, collapse, shared)
