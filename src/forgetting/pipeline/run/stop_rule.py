"""Decides whether a stage has reached its goal, from the measures of an evaluation during the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.damage import damaged
from forgetting.metrics.goal import Goal


@dataclass(frozen=True)
class StopRule:
    """A stage's goal, which a damaged model does not reach.

    Its thresholds are LoKU's (section 4.1 and appendix B): EL_n and MA of the forget set at or below those of
    text that the model has never seen, before and now.
    """

    goal: Goal
    declared: Declaration
    """What counts for the stage; see `metrics.damage`."""
    starts: tuple[Sequence[Measure], ...]
    """The models that damage is counted from: the one before the run, and the one before the stage."""
    despite_damage: bool = False
    """Whether the stage ends although damage alone keeps the goal from being reached."""

    def __call__(self, measures: Sequence[Measure]) -> bool:
        """Whether the goal is reached."""
        return self._met(measures) and not self.damaged(measures)

    def ends(self, measures: Sequence[Measure]) -> bool:
        """Whether the stage ends."""
        return self(measures) or (self.despite_damage and self._met(measures))

    def held_back(self, measures: Sequence[Measure]) -> bool:
        """Whether damage alone keeps the stage from its end."""
        return self._met(measures) and not self.ends(measures)

    def _met(self, measures: Sequence[Measure]) -> bool:
        return self.goal.within_reach(measures) and self.goal.reached(measures)

    def damaged(self, measures: Sequence[Measure]) -> tuple[str, ...]:
        """The keys of the measures that show damage."""
        found = [key for start in self.starts for key in damaged(self.declared, start, measures)]
        return tuple(dict.fromkeys(found))

    def __str__(self) -> str:
        at = self.goal.thresholds
        parts = [str(limit) for limit in self.goal.limits]
        if at is not None:
            limits = f"EL_{at.n} ≤ {at.extraction_likelihood:.4f} and MA ≤ {at.memorization_accuracy:.4f}"
            compared = "as unseen text had before, and no more than unseen text has then"
            parts.insert(0, f"{at.forget} has {limits}, {compared}")
        return "; and ".join(parts)
