"""How a stage went, and its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forgetting.metrics.extraction import Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the optimisation of a stage ended."""

    steps: int = 0
    total: int = 0
    """Steps of the whole duration."""
    epochs: float = 0.0
    stopped: str = ""
    """`duration`, `collapse` or `goal`; empty where nothing was trained."""
    message: str = ""
    success: bool | None = None
    """Whether the stop rule was satisfied within the duration; None where there was none."""
    kept: str = ""
    """Which weights the stage ends with, in words."""
    kept_step: int = 0
    supervised_tokens: int = 0
    train_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult(Ending):
    """How one stage went: what was trained, how it ended, what it took."""

    name: str
    method: str
    adapter: str = ""
    """The adapter in words."""
    learning_rate: float | None = None
    thresholds: Thresholds | None = None
    """What the stop rule compared with; None where there was none."""
    goal: str = ""
    """The stop rule as the recipe writes it; empty where there was none."""
    transform: Mapping[str, Any] | None = None
    """Name and parameters of what it did to the weights, if it did not train; `method` is the name."""
    trainable: int = 0
    """Trained weights."""
    of: int = 0
    """All weights of the model."""
    peak_memory_bytes: int = 0
    flops: Mapping[str, Any] | None = None
    scoring_seconds: float | None = None
    """Of token scores; None where the stage selects no tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step of a stage's history."""

    step: int
    """From 1."""
    epoch: float = 0.0
    loss: float | None = None
    terms: Mapping[str, float | None] = field(default_factory=dict)
    """The value of each term of the objective, before its weight."""
    weights: Mapping[str, float | None] = field(default_factory=dict)
    gradient_norm: float | None = None
    """Before clipping."""
    learning_rate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
    """Which token scores a stage selected by: digests, counts, and the seconds that scoring took."""

    model: str
    reference: str
    tokenizer: str
    data: str
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
