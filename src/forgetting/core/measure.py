"""A number with what is needed to read it: its count, its interval, its direction, its meaning, or why it is absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "oracle", "none"]
"""Which way is good: higher, lower, closer to the oracle's value, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of one split of records."""

    name: str
    split: str
    value: float | None
    """None: could not be measured; `reason` says why. Never 0 in its place."""
    count: int
    """How many records (or pairs) the value rests on."""
    low: float | None = None
    high: float | None = None
    """The 95% interval, clustered by source example; None where there is none."""
    direction: Direction = "none"
    meaning: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """`split/name`, unique within an evaluation."""
        return f"{self.split}/{self.name}"
