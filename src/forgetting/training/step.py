"""The gradients of one optimiser step: its micro-batches, divided between the processes, differentiated one by one.

Every process collates the whole step, so the objective's divisors are counted without a message and are those of a
single process. What is then forwarded here is this process's share; loss and gradients are sums over all shares.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.training.learner import Learner
from forgetting.training.reference import Reference


class Step(nn.Module):
    """What is sharded, where anything is: everything that reads weights in a step happens in its forward pass."""

    def __init__(self, learner: Learner, reference: Reference) -> None:
        super().__init__()
        self.learner = learner
        self.reference = reference

    def forward(
        self, batch: Batch, *, weights: Sequence[float], denominators: Sequence[float]
    ) -> tuple[Tensor, list[float]]:
        """As the learner's, with what the reference says of the batch."""
        reference = self.reference(batch)
        return self.learner(batch, weights=weights, denominators=denominators, reference=reference)
