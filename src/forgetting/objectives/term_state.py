"""The state of a term between steps, apart from the model's weights: dual variables, running means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class TermState(Protocol):
    """Numbers that a term's weight or loss reads, updated once per optimiser step.

    They are saved in every checkpoint, so a resumed stage continues with them.
    """

    def update(self, values: Mapping[str, float], step: int, total: int) -> None:
        """Updates the numbers after optimiser step `step` of `total` (from 0).

        Args:
            values: every term's unweighted value by its label, over all micro-batches and processes of that step.
        """
        ...

    def state_dict(self) -> Mapping[str, float]:
        """The numbers by name."""
        ...

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Loads the output of `state_dict`."""
        ...


class DriftDual:
    """The multiplier of the constraint `relative rise of a term ≤ tolerance`, moved once a period.

    A period's value is the mean over its steps; the rise δ is that over the first period's, from 0. Behind each later
    period, dual ← clip(dual + step_size·(δ − tolerance), 0, most).

    Args:
        of: label of the constrained term.
        start: what the weight has beside the dual, which begins at 0.
        tolerance: the rise that is allowed: 0.1 for a tenth of the first period's value.
        step_size: change of the dual per unit of excess.
        most: the largest dual.
        period: share of the stage's steps; at least one step.
    """

    def __init__(self, of: str, start: float, tolerance: float, step_size: float, most: float, period: float) -> None:
        self.of, self.start = of, start
        self.tolerance, self.step_size, self.most, self.period = tolerance, step_size, most, period
        self.dual, self.first, self.sum, self.count = 0.0, 0.0, 0.0, 0

    def weight(self, step: int, total: int) -> float:
        """The start and the dual, as the weight of a term."""
        return self.start + self.dual

    def update(self, values: Mapping[str, float], step: int, total: int) -> None:
        """Counts the step; behind the last of a period, moves the dual."""
        self.sum, self.count = self.sum + values[self.of], self.count + 1
        if self.count < max(1, round(self.period * total)):
            return
        mean, self.sum, self.count = self.sum / self.count, 0.0, 0
        if self.first == 0:
            self.first = mean
            return
        drift = max(0.0, mean / self.first - 1)
        self.dual = min(max(0.0, self.dual + self.step_size * (drift - self.tolerance)), self.most)

    def state_dict(self) -> Mapping[str, float]:
        """The dual, the first period's mean (0: not yet), and the sum and count of this period's steps."""
        return {"dual": self.dual, "first": self.first, "sum": self.sum, "count": self.count}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Loads the output of `state_dict`; empty: the beginning."""
        self.dual, self.first, self.sum = (state.get(key, 0.0) for key in ("dual", "first", "sum"))
        self.count = int(state.get("count", 0))


class DualVariable:
    """The multiplier of the constraint `value ≤ bound`: dual ← max(0, dual + step_size·(value − bound)).

    As the weight of the constrained term it makes the step descend loss + dual·value; the constant −dual·bound of the
    Lagrangian has no gradient and is left out. The value is that of the step before the update.

    Args:
        of: label of the constrained term.
        start: the dual in the first step.
        bound: the upper bound of the value, in its unit.
        step_size: change of the dual per unit of excess.
        warmup: share of the stage's steps during which the dual keeps its start.
    """

    def __init__(self, of: str, start: float, bound: float, step_size: float, warmup: float = 0.0) -> None:
        self.of = of
        self.dual, self.bound, self.step_size, self.warmup = start, bound, step_size, warmup

    def weight(self, step: int, total: int) -> float:
        """The dual as the weight of a term."""
        return self.dual

    def update(self, values: Mapping[str, float], step: int, total: int) -> None:
        """One step of projected ascent, once the warm-up is over."""
        if step >= self.warmup * total:
            self.dual = max(0.0, self.dual + self.step_size * (values[self.of] - self.bound))

    def state_dict(self) -> Mapping[str, float]:
        """The dual."""
        return {"dual": self.dual}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Loads the output of `state_dict`."""
        self.dual = state["dual"]
