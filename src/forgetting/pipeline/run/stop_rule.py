"""Decides whether a stage has reached its goal, from the measures of an evaluation during the stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.likelihood import memorization_accuracy

StopRule = Callable[[Sequence[Measure]], bool]
"""Whether the goal is reached."""


@dataclass(frozen=True)
class ExtractionRule:
    """LoKU's rule: EL_n and MA of the forget set at or below those of text that the model has never seen (App. B)."""

    thresholds: Thresholds
    forget: str
    """The split that should fall below the thresholds."""

    def __call__(self, measures: Sequence[Measure]) -> bool:
        """Whether the goal is reached."""
        return self.within_reach(measures) and self.thresholds.reached(measures, split=self.forget)

    def within_reach(self, measures: Sequence[Measure]) -> bool:
        """Whether MA alone is low enough."""
        accuracy = next((m.value for m in measures if m.key == f"{self.forget}/{memorization_accuracy.name}"), None)
        return accuracy is None or accuracy <= self.thresholds.memorization_accuracy

    def __str__(self) -> str:
        at = self.thresholds
        return (
            f"{self.forget} has EL_{at.n} ≤ {at.extraction_likelihood:.4f} and MA ≤ {at.memorization_accuracy:.4f}, "
            "as unseen text had before"
        )
