"""Weights rounded to the values that a quantiser could store, in place: what a quantised model computes with.

The matrices of the decoder are rounded; head, embeddings, norms and biases stay, as common loaders leave them. Products
are computed in the model's precision, as 4-bit loaders do after restoring a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from forgetting.models.adapters.targets import linear_layers, out_in


@dataclass(frozen=True)
class Rounding:
    """The values, from -1 to 1, that a weight divided by the largest absolute value of its block can take."""

    levels: tuple[float, ...]
    block: int | None
    """Weights that share a scale, counted through a matrix row by row; None: a row."""


def _even(most: int) -> tuple[float, ...]:
    return tuple(level / most for level in range(-most, most + 1))


_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941),
    *(0.7229568362236023, 1.0),
)
"""NormalFloat: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314, appendix E."""
_FP4 = (0.0625 / 12, 2.0 / 12, 3.0 / 12, 4.0 / 12, 6.0 / 12, 8.0 / 12, 1.0)
"""Four-bit floats as bitsandbytes stores them, the positive ones: 0.0625, 2, 3, 4, 6, 8 and 12 twelfths."""

ROUNDINGS: Mapping[str, Rounding] = {
    "int8": Rounding(_even(127), None),
    "int4": Rounding(_even(7), 32),
    "nf4": Rounding(_NF4, 64),
    "fp4": Rounding((*(-level for level in reversed(_FP4)), 0.0, *_FP4), 64),
}
"""Round to nearest in 8 bits by row and in 4 bits by 32 weights; the NF4 and FP4 of bitsandbytes by 64."""


@torch.no_grad()
def round_weights(model: nn.Module, rounding: Rounding) -> int:
    """Rounds the decoder's matrices in place; returns how many.

    Raises:
        ModelError: the model has no decoder matrices that are known.
    """
    layers = linear_layers(model)
    for layer in layers.values():
        weight = cast(Tensor, layer.weight)
        rows = out_in(layer, weight)
        rounded = out_in(layer, rounded_to(rows.float(), rounding))
        weight.copy_(rounded)
    return len(layers)


def rounded_to(weight_OI: Tensor, rounding: Rounding) -> Tensor:
    """The weights `[out, in]`, each the nearest level times the largest absolute value of its block."""
    block = weight_OI.shape[1] if rounding.block is None else rounding.block
    flat = weight_OI.reshape(-1)
    blocks_NK = nn.functional.pad(flat, (0, -len(flat) % block)).view(-1, block)
    scale_N1 = blocks_NK.abs().amax(1, keepdim=True)
    levels_L = torch.tensor(rounding.levels, dtype=torch.float32, device=weight_OI.device)
    middles = (levels_L[1:] + levels_L[:-1]) / 2
    share_NK = blocks_NK / torch.where(scale_N1 > 0, scale_N1, 1.0)
    rounded_NK = levels_L[torch.bucketize(share_NK, middles)] * scale_N1
    return rounded_NK.view(-1)[: len(flat)].view_as(weight_OI)
