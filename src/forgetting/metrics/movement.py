"""Movement: how far a stage brought the forget set on the way from where it was to where it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.share import hardly_there

LITTLE = 0.1
"""The share of the way below which almost nothing has moved."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One measure of the forget set, high where the set is known."""

    key: str
    start: float
    now: float
    goal: float
    """The oracle's value; without one, that of unseen text before; else 0."""
    goal_of: str
    """Whose value the goal is: `oracle`, a split of unseen text, or empty."""

    @property
    def share(self) -> float:
        """The share of the way that was gone; negative if the set is known better than before."""
        return (self.start - self.now) / (self.start - self.goal)

    @property
    def little(self) -> bool:
        """Whether almost nothing has moved."""
        return self.share < LITTLE


def movement(
    declared: Declaration, start: Sequence[Measure], now: Sequence[Measure], oracle: Sequence[Measure] | None = None
) -> Movement | None:
    """How far the forget measure of the suite's balance has moved; None where there was no way to go, or no measure.

    There is no way to go from a share that is not told from nothing (`hardly_there`).

    Args:
        declared: what the suite declares for the stage.
        start: measures of the model before the stage.
        now: measures of the model after it.
        oracle: measures of a model that never saw the forget set.
    """
    if declared.balance is None:
        return None
    key = declared.balance.forget
    values = [{m.key: m.value for m in measures if m.value is not None} for measures in (start, now, oracle or ())]
    begun, found, known = values
    if key not in begun or key not in found or any(hardly_there(m) for m in start if m.key == key):
        return None
    goal, goal_of = 0.0, ""
    if key in known:
        goal, goal_of = known[key], "oracle"
    else:
        pair, name = declared.extraction, key.rpartition("/")[2]
        never = [*([pair.unseen] if pair else []), *declared.unseen_splits]
        goal_of = next((split for split in never if f"{split}/{name}" in begun), "")
        goal = begun[f"{goal_of}/{name}"] if goal_of else 0.0
    made = Movement(key, begun[key], found[key], goal, goal_of)
    return made if made.start - made.goal > 0.01 * abs(made.start) else None
