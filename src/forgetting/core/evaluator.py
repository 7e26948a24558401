"""What the trainer is given to measure with: it imports neither evaluation nor benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from forgetting.core.measure import Measure


class Evaluator(Protocol):
    """Measures a model in the middle of a stage. It must leave the model's mode and all random state as they were."""

    def __call__(self, model: torch.nn.Module, *, step: int, epoch: float) -> Sequence[Measure]:
        """Measures of the model after `step` optimiser steps; called again after a resume if it did not finish."""
        ...


class Progress(Protocol):
    """Where long work says how far it is."""

    def __call__(self, done: int, total: int, note: str) -> None:
        """`done` of `total`; `note` is short: `loss 1.23`."""
        ...
