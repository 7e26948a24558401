"""A suite: a named set of examples in splits, what is asked of each, and the metrics of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forgetting.core.example import Example
from forgetting.metrics.metric import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Examples that are measured alike."""

    name: str
    examples: tuple[Example, ...]
    generate: bool = True
    """Whether a greedy answer is asked for (slow); likelihoods are always taken."""
    max_new_tokens: int | None = 64
    """None: as long as the split's longest answer."""
    extraction: tuple[int, ...] = ()
    """The n of the n-gram overlaps to take: the examples are then measured as verbatim sequences, not as answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What `evaluate:` names in a recipe. Some suites bring their training data too; the others leave `data` empty."""

    name: str
    splits: tuple[Split, ...]
    metrics: tuple[Metric, ...]
    data: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    """Examples by role, for recipes that say `data: {forget: {suite: …}}`."""
    oracle: Path | None = None
    """A model that never saw the forget set, if the suite ships one."""
