"""What the adapter tests share: logits of fixed ids, and a few optimiser steps in place of a stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IDS = torch.randint(3, 97, (3, 17), generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def logits(model: nn.Module, *, keep_mode: bool = False) -> Tensor:
    """Logits of `IDS` in evaluation mode, `[3, 17, 97]`."""
    mode = model.training
    output = model.train(mode and keep_mode)(input_ids=IDS).logits
    model.train(mode)
    return output


def stir(model: nn.Module, *, steps: int = 3, learning_rate: float = 5e-3) -> None:
    """A few AdamW steps of a language-model loss on `IDS`, so that what trains has moved."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=learning_rate)
    for _ in range(steps):
        loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def worst(actual: Tensor, expected: Tensor) -> float:
    """Largest difference as a share of the largest expected value."""
    return float((actual - expected).abs().max() / expected.abs().max())
