"""Sets of fewer examples than can show a change by an interval: that they fell or rose is said all the same.

What is to be forgotten may be one document. That it fell is no matter of chance, only how far others would fall is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from forgetting.metrics.share import LEAST
from forgetting.metrics.statistics import FEWEST
from forgetting.report.verdict.paired import Side, matched


@dataclass(frozen=True, slots=True)
class Few:
    """How the examples of a small set changed."""

    count: int
    fell: int
    rose: int
    change: float
    """Of their mean."""

    @property
    def is_lower(self) -> bool:
        """Whether their mean fell."""
        return self.change <= -LEAST

    @property
    def is_higher(self) -> bool:
        """Whether their mean rose."""
        return self.change >= LEAST

    @property
    def words(self) -> str:
        """`in 2 of 3 examples, and rose in 1`: those that changed as their mean did, and the others."""
        along, against, other = self.fell, self.rose, "rose"
        if self.change > 0:
            along, against, other = self.rose, self.fell, "fell"
        noun = "example" if self.count == 1 else "examples"
        return f"in {along} of {self.count} {noun}" + (f", and {other} in {against}" if against else "")


def few(key: str, after: Side, before: Side, *, only: Collection[str] | None = None) -> Few | None:
    """How a measure changed in fewer than `FEWEST` sources of examples; None where there are more, or no records.

    Of more sources all the same, if most changed and they are fewer: of six answers five may be lost.

    `only`: of the examples with these ids.
    """
    rows = matched(key, (before, after), only) or []
    sources = {cluster for cluster, _ in rows}
    changed = {cluster for cluster, (then, now) in rows if then != now}
    if not rows or (len(sources) >= FEWEST and not len(sources) < 2 * len(changed) < 2 * FEWEST):
        return None
    changes = [now - then for _, (then, now) in rows]
    fell, rose = sum(c < 0 for c in changes), sum(c > 0 for c in changes)
    return Few(len(changes), fell, rose, sum(changes) / len(changes))
