"""Losses over the hidden states of a layer: steer them to a vector, or keep them near the reference's."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from forgetting.core.signals import Signals
from forgetting.objectives.losses import Loss


@lru_cache(maxsize=8)
def control_vector(seed: int, width: int) -> Tensor:
    """A vector of unit norm, `[D]`, float64; entries are uniform in [0, 1) before scaling, determined by the seed."""
    drawn_D = torch.rand(width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn_D / drawn_D.norm()


def steered(layer: int, coefficient: float, seed: int) -> Loss:
    """The mean over D of (h − c·u)², per position: RMU's forget loss (arXiv 2403.03218, section 4).

    Args:
        layer: the decoder block with output h, from 0.
        coefficient: c, the length of the target.
        seed: the seed of u, the control vector.
    """

    def compute(s: Signals) -> Tensor:
        hidden_ND = s.hidden[layer]
        target_D = coefficient * control_vector(seed, hidden_ND.shape[-1])
        return (hidden_ND - target_D.to(hidden_ND)).square().mean(-1)

    return Loss("steered", compute, needs=(), layers=(layer,))


def kept_states(layer: int) -> Loss:
    """The mean over D of (h − h_ref)², per position: RMU's retain loss (arXiv 2403.03218, section 4)."""

    def compute(s: Signals) -> Tensor:
        return (s.hidden[layer] - s.hidden_of_reference[layer]).square().mean(-1)

    return Loss("kept_states", compute, needs=(), layers=(layer,), layers_of_reference=(layer,))
