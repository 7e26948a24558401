"""The gradients of one optimiser step: its micro-batches, divided between the processes, differentiated one by one.

Every process collates the whole step, so the objective's divisors need no communication and equal those of a single
process. Each process then forwards its own share; loss and gradients are sums over all shares.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.training.learner import Learner
from forgetting.training.reference import Reference


class Step(nn.Module):
    """The module that is sharded, if any: all reads of weights in a step happen in its forward pass."""

    def __init__(self, learner: Learner, reference: Reference) -> None:
        super().__init__()
        self.learner = learner
        self.reference = reference

    def forward(
        self, batch: Batch, *, weights: Sequence[float], denominators: Sequence[float]
    ) -> tuple[Tensor, list[float]]:
        """The learner's forward, with the reference's outputs for the batch."""
        reference = self.reference(batch)
        return self.learner(batch, weights=weights, denominators=denominators, reference=reference)
