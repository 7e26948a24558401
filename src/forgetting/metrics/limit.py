"""A limit that one measure is to reach: `forget/exact_match <= 0.1`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.errors import DataError, nearest
from forgetting.core.measure import Measure

PATTERN = r"\s*[^\s<>=]+/[^\s<>=]+\s*(<=|>=)\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*"
"""A limit as written, for schemas."""
_WRITTEN = re.compile(r"\s*(?P<key>[^\s<>=]+/[^\s<>=]+)\s*(?P<sign><=|>=)\s*(?P<value>\S+)\s*")


@dataclass(frozen=True)
class Limit:
    """At most or at least a value."""

    key: str
    """The measure: `split/name`."""
    at_most: bool
    value: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Reads `SPLIT/MEASURE <= VALUE` or `SPLIT/MEASURE >= VALUE`.

        Raises:
            ValueError: it is neither.
        """
        written = _WRITTEN.fullmatch(text) if re.fullmatch(PATTERN, text) else None
        try:
            value = float(written["value"]) if written else math.nan
        except ValueError:
            value = math.nan
        if written is None or not math.isfinite(value):
            raise ValueError("write extraction, or a limit such as forget/exact_match <= 0.1")
        return cls(written["key"], written["sign"] == "<=", value)

    def reached(self, measures: Sequence[Measure]) -> bool:
        """Whether the measure is at or beyond the value.

        Raises:
            DataError: it is not among the measures, or has no value.
        """
        found = {measure.key: measure for measure in measures}
        if self.key not in found:
            raise DataError(f"until: no measure is called '{self.key}'; {nearest(self.key, found)}")
        measure = found[self.key]
        if measure.value is None:
            raise DataError(f"until: {self.key} has no value ({measure.reason}); name another measure")
        return measure.value <= self.value if self.at_most else measure.value >= self.value

    def __str__(self) -> str:
        return f"{self.key} {'<=' if self.at_most else '>='} {self.value:g}"
