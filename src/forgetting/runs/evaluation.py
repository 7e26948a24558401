"""One evaluation of a run: measures of one model at one point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from forgetting.core.measure import Measure
from forgetting.metrics.popularity import ByPopularity

Point = Literal["before", "oracle", "epoch", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured at one point of a run."""

    point: Point
    stage: str | None = None
    step: int = 0
    epoch: float = 0.0
    records: str | None = None
    """Path of the record file inside the run folder; None if records were not kept."""
    records_sha256: str = ""
    """SHA-256 of that file; empty if there is none, or if an earlier version wrote it."""
    measures: tuple[Measure, ...] = ()
    seconds: float = 0.0
    work: Mapping[str, int] | None = None
    """Tokens that the models read for its records, as far as the records say; None if not counted."""
    popularity: tuple[ByPopularity, ...] = ()
    """By split: how what was lost (or, of a model measured as it is, what is known) depends on popularity."""

    def measure(self, key: str) -> Measure | None:
        """The measure `split/name`, or None if this evaluation does not have it."""
        return next((m for m in self.measures if m.key == key), None)

    @property
    def file_stem(self) -> str:
        """The name of its files, without suffix."""
        if self.stage is None:
            return self.point
        return f"{self.stage}-{self.point}" + (f"-{self.step:06d}" if self.point == "epoch" else "")

    def finite(self) -> Evaluation:
        """A copy without non-finite values (they become missing) and without non-finite intervals.

        Files of a collapsed run may contain NaN.
        """
        return replace(self, measures=tuple(_finite(m) for m in self.measures))


def _finite(m: Measure) -> Measure:
    if m.value is not None and not math.isfinite(m.value):
        reason = m.reason or f"the value is {m.value}, not a finite number"
        m = replace(m, value=None, low=None, high=None, reason=reason)
    if m.low is None or m.high is None or not (math.isfinite(m.low) and math.isfinite(m.high)):
        m = replace(m, low=None, high=None)
    return m
