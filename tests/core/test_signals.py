"""Sums by sequence are those of a plain loop, and carry gradients."""

import torch

from forgetting.core.signals import Signals


def test_sums_by_sequence() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], requires_grad=True)
    signals = Signals({"logp": values}, torch.ones(5), torch.tensor([0, 0, 2, 2, 2]), 3)
    sums = signals.sum_by_sequence(signals.logp)
    assert sums.tolist() == [3.0, 0.0, 28.0]
    (sums * torch.tensor([1.0, 5.0, 10.0])).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [1.0, 1.0, 10.0, 10.0, 10.0]
