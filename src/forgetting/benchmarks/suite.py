"""A suite: a named set of examples in splits, what is asked of each, and the metrics of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import nn
from transformers import PreTrainedTokenizerBase

from forgetting.core.evaluator import Progress
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.metrics.metric import Metric


class Probe(Protocol):
    """Another program's own protocol on a model: it gives measures at once, not records that are scored later."""

    @property
    def key(self) -> str:
        """What is asked, with all settings: equal keys give equal measures of equal models."""
        ...

    def __call__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, progress: Progress
    ) -> Sequence[Measure]:
        """The measures of the model, which is left as it was (mode, random state)."""
        ...


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
    probes: tuple[Probe, ...] = ()
    data: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    """Examples by role, for recipes that say `data: {forget: {suite: …}}`."""
    oracle: Path | None = None
    """A model that never saw the forget set, if the suite ships one."""
