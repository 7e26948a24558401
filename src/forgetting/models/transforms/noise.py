"""Shrinks weights and mixes them with the noise of a new initialisation."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from forgetting.core.digest import digest
from forgetting.core.errors import ModelError, RecipeError, nearest
from forgetting.models.adapters.export import merged
from forgetting.models.quantised import has_quantised
from forgetting.models.transforms.registry import Given, Transform, register_transform

Norms = Literal["keep", "decay"]


@register_transform(
    "noise",
    paper="arXiv 2506.06278",
    when="Between unlearning and distillation (UNDO), so that what unlearning only hid does not come back.",
)
def noise(alpha: float = 0.3, beta: float = 0.1, norms: Norms = "keep") -> Transform:
    """UNDO's perturbation: θ ← (1−α)·θ + α·β·N per matrix, N Xavier-uniform (arXiv 2506.06278).

    N of an `[out, in]` matrix is uniform on ±√(6 / (out + in)). A stack of matrices (experts, `[n, out, in]`) is drawn
    matrix by matrix. A weight that is tied to another is changed once; active adapters are merged first.

    `norms` applies to one-dimensional parameters (norm gains, biases), for which there is no N: `keep` leaves them
    unchanged; `decay` multiplies them by 1−α, as the released code does, so that at α 0.6 every gain is 0.4 of its
    value. N of each parameter is drawn in fp32 on the processor, from the seed and the parameter's name (the
    released code never uses its seed); the sum is rounded once to the parameter's precision.

    Args:
        alpha: 0 (no change) to 1 (only noise).
        beta: scale of the noise, 0 or above.
        norms: `keep` or `decay`.

    Raises:
        RecipeError: an invalid value.
    """
    if not _is_number(alpha) or not 0 <= alpha <= 1:
        raise RecipeError(f"noise: alpha is {alpha!r}; it must be a number from 0 to 1")
    if not _is_number(beta) or beta < 0:
        raise RecipeError(f"noise: beta is {beta!r}; it must be 0 or a positive number")
    if norms not in get_args(Norms):
        raise RecipeError(f"noise: unknown norms '{norms}'; {nearest(str(norms), get_args(Norms))}")
    return Transform(lambda model, given: _perturbed(model, given, alpha, beta, norms))


@torch.no_grad()
def _perturbed(
    model: PreTrainedModel | PeftModel, given: Given, alpha: float, beta: float, norms: Norms
) -> PreTrainedModel:
    if has_quantised(model):
        raise ModelError("noise: weights in 4 bits cannot be mixed with noise; load whole ones")
    whole = merged(model)
    for name, parameter in whole.named_parameters():
        if parameter.dim() > 1:
            drawn = xavier(parameter.shape, _seed_of(name, given.seed)).to(parameter.device)
            parameter.copy_(mixed(parameter, drawn, alpha, beta))
        elif norms == "decay":
            parameter.mul_(1 - alpha)
    return whole


def mixed(weight: Tensor, drawn: Tensor, alpha: float, beta: float) -> Tensor:
    """(1−α)·θ + α·β·N in fp32 (float64 stays)."""
    exact = weight if weight.dtype == torch.float64 else weight.float()
    return (1 - alpha) * exact + alpha * beta * drawn


def xavier(shape: torch.Size, seed: int) -> Tensor:
    """Uniform noise on ±√(6 / (out + in)) of a `[…, out, in]` weight: fp32 on the processor."""
    bound = math.sqrt(6 / (shape[-2] + shape[-1]))
    return torch.empty(shape).uniform_(-bound, bound, generator=torch.Generator().manual_seed(seed))


def _seed_of(name: str, seed: int) -> int:
    return int(digest(seed, name), 16) >> 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
