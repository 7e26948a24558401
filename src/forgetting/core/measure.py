"""A number with its count, interval, direction and meaning, or the reason why it is absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "oracle", "none"]
"""Which values are better: higher, lower, closer to the oracle's value, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of one split of records."""

    name: str
    split: str
    value: float | None
    """None: could not be measured; `reason` says why. It is never replaced by 0."""
    count: int
    """The number of records (or pairs) behind the value."""
    low: float | None = None
    high: float | None = None
    """The 95% interval, clustered by source example; None if there is none."""
    direction: Direction = "none"
    meaning: str = ""
    reason: str = ""
    of: int | None = None
    """Where the value needs written text and only some of the split's records have it: the number of all; else None."""

    @property
    def key(self) -> str:
        """`split/name`, unique within an evaluation."""
        return f"{self.split}/{self.name}"
