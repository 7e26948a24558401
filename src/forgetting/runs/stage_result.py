"""The result of a stage, and its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.movement import Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the optimisation of a stage ended."""

    steps: int = 0
    total: int = 0
    """Steps of the whole duration."""
    epochs: float = 0.0
    stopped: str = ""
    """`duration`, `collapse` or `goal`; empty if nothing was trained."""
    message: str = ""
    success: bool | None = None
    """Whether the stop rule was satisfied within the duration; None if there was none."""
    kept: str = ""
    """The final weights of the stage, in words."""
    kept_step: int = 0
    supervised_tokens: int = 0
    train_seconds: float = 0.0
    evaluated: tuple[int, ...] = ()
    """The steps at which it was evaluated; empty too if an earlier version wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult(Ending):
    """The result of one stage: what was trained, how it ended, what it cost."""

    name: str
    method: str
    adapter: str = ""
    """The adapter in words."""
    coverage: str = ""
    """How much of the decoder the adapter is on, in words, if there are matrices that it cannot be put on."""
    learning_rate: float | None = None
    thresholds: Thresholds | None = None
    """What the stop rule compared with; None if there was none."""
    goal: str = ""
    """The stop rule as written in the recipe; empty if there was none."""
    damaged: tuple[str, ...] = ()
    """For a stage with a goal: the measures of what should stay that fell beyond noise; see `metrics.damage`."""
    forgets: bool | None = None
    """Whether a term on the forget set weighs anything; None for a transform without data, and in older files."""
    moved: Movement | None = None
    """How far the forget set moved; None if the stage unlearns nothing, or nothing compares."""
    transform: Mapping[str, Any] | None = None
    """Name and parameters of its transform, if it did not train; `method` is the name."""
    trainable: int = 0
    """Trained weights."""
    of: int = 0
    """All weights of the model."""
    peak_memory_bytes: int = 0
    flops: Mapping[str, Any] | None = None
    scoring_seconds: float | None = None
    """Seconds for token scores; None if the stage selects no tokens."""
    history_sha256: str = ""
    """SHA-256 of its history; empty if it has none, or if an earlier version wrote it."""


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
