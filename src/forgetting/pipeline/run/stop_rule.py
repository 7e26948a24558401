"""Decides whether a stage has reached its goal, from the measures of an evaluation during the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.damage import damaged
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.limit import Limit


@dataclass(frozen=True)
class StopRule:
    """A stage's goal, which a damaged model does not reach.

    With thresholds it is LoKU's (App. B): EL_n and MA of the forget set at or below those of text that the model has
    never seen, before and now.
    """

    goal: Thresholds | Limit
    declared: Declaration
    """What counts for the stage; see `metrics.damage`."""
    starts: tuple[Sequence[Measure], ...]
    """The models that damage is counted from: the one before the run, and the one before the stage."""

    def __call__(self, measures: Sequence[Measure]) -> bool:
        """Whether the goal is reached."""
        if isinstance(self.goal, Thresholds) and not self.goal.within_reach(measures):
            return False
        return self.goal.reached(measures) and not self.damaged(measures)

    def damaged(self, measures: Sequence[Measure]) -> tuple[str, ...]:
        """The keys of the measures that show damage."""
        found = [key for start in self.starts for key in damaged(self.declared, start, measures)]
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        if isinstance(self.goal, Limit):
            return str(self.goal)
        at = self.goal
        return (
            f"{at.forget} has EL_{at.n} ≤ {at.extraction_likelihood:.4f} and MA ≤ {at.memorization_accuracy:.4f}, "
            "as unseen text had before, and no more than unseen text has then"
        )
