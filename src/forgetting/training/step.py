"""The gradients of one optimiser step: its micro-batches, divided between the processes, differentiated one by one.

Every process collates the whole step, so the objective's divisors are counted without a message and are those of a
single process. What is then forwarded here is this process's share; loss and gradients are sums over all shares.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from forgetting.core.batch import Batch
from forgetting.core.processes import count, rank
from forgetting.training.learner import Learner
from forgetting.training.processes import sum_gradients, sums
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


def differentiate(
    step: nn.Module,
    batches: Sequence[Batch],
    parameters: Sequence[nn.Parameter],
    *,
    weights: Sequence[float],
    denominators: Sequence[float],
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None,
    in_lockstep: bool,
) -> tuple[float, list[float]]:
    """Leaves the step's gradients in the parameters; returns its loss and each term's unweighted value.

    Args:
        batches: all of the step, in every process.
        seed: of the dropout, which is drawn anew for each micro-batch: whichever process has it, it is the same.
        dtype: of autocast; None: without.
        in_lockstep: every process runs equally many passes, because each gathers weights from all. One that has no
            micro-batch left runs another's with all weights 0, which adds exact zeros.
    """
    total, values = 0.0, [0.0] * len(weights)
    ahead = len(batches) % count()
    rounds = len(batches) + (count() - ahead if in_lockstep and ahead else 0)
    for number in range(rank(), rounds, count()):
        counts = number < len(batches)
        torch.manual_seed(seed + number * 998_244_353)
        batch = batches[number if counts else 0].to(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            share, shares = step(batch, weights=weights if counts else [0.0] * len(weights), denominators=denominators)
        share.backward()
        if counts:
            total += share.item()
            values = [a + b for a, b in zip(values, shares, strict=True)]
    sum_gradients([p for p in parameters if not isinstance(p, DTensor)])  # a sharded one's are summed already
    total, *values = sums([total, *values])
    return total, values
