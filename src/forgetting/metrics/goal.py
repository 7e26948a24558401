"""What ends a stage of unlearning: the comparison with unseen text, limits of measures, or several of them at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.limit import PATTERN, Limit

EXTRACTION = "extraction"
"""The stop rule of LoKU: the forget set is no easier to extract than unseen text."""
UNTIL = rf"^\s*({EXTRACTION}|{PATTERN})(\s+and\s+({EXTRACTION}|{PATTERN}))*\s*$"
"""A goal as written, for schemas."""


@dataclass(frozen=True)
class Until:
    """A goal as written: `extraction`, `forget/exact_match <= 0.1`, or several with `and` between them."""

    extraction: bool
    """Whether EL_n and MA are compared with those of unseen text."""
    limits: tuple[Limit, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads it.

        Raises:
            ValueError: a part of it is neither `extraction` nor a limit.
        """
        parts = [part.strip() for part in re.split(r"\s+and\s+", text)]
        return cls(EXTRACTION in parts, tuple(Limit.parse(part) for part in parts if part != EXTRACTION))


@dataclass(frozen=True)
class Goal:
    """A goal with the values of unseen text that it compares with; all of it is to hold on one model."""

    thresholds: Thresholds | None = None
    limits: tuple[Limit, ...] = ()

    def reached(self, measures: Sequence[Measure]) -> bool:
        """Whether all of it holds.

        Raises:
            DataError: a measure that it needs is not there, or has no value.
        """
        held = [limit.reached(measures) for limit in self.limits]  # all are looked at, so that all can raise
        return (self.thresholds is None or self.thresholds.reached(measures)) and all(held)

    def within_reach(self, measures: Sequence[Measure]) -> bool:
        """Whether all that was measured of it holds; measures that cost much, such as EL_n, may not have been."""
        value = {m.key: m.value for m in measures}
        known = [limit for limit in self.limits if all(value.get(key) is not None for key in limit.keys)]
        limits = all(limit.reached(measures) for limit in known)
        return limits and (self.thresholds is None or self.thresholds.within_reach(measures))
