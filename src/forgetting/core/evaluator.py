"""The trainer's interface to evaluation; the trainer imports neither evaluation nor benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from forgetting.core.measure import Measure


class Evaluator(Protocol):
    """Evaluates a model in the middle of a stage. It must leave the model's mode and all random state unchanged."""

    def __call__(self, model: torch.nn.Module, *, step: int, epoch: float) -> Sequence[Measure]:
        """Measures the model after `step` optimiser steps; called again after a resume if it did not finish."""
        ...


class Progress(Protocol):
    """Receives the progress of long work."""

    def __call__(self, done: int, total: int, note: str) -> None:
        """Reports `done` of `total`; `note` is short: `loss 1.23`."""
        ...
