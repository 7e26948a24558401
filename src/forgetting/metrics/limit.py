"""A limit that one measure is to reach: `forget/exact_match <= 0.1`, or another measure of the same model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.errors import DataError, nearest
from forgetting.core.measure import Measure

_KEY = r"[^\s<>=]+/[^\s<>=]+"
_NUMBER = r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
PATTERN = rf"\s*{_KEY}\s*(<=|>=)\s*({_NUMBER}|{_KEY})\s*"
"""A limit as written, for schemas."""
_WRITTEN = re.compile(rf"\s*(?P<key>{_KEY})\s*(?P<sign><=|>=)\s*(?P<value>\S+)\s*")


@dataclass(frozen=True)
class Limit:
    """At most or at least a value, or what another measure has on the same model."""

    key: str
    """The measure: `split/name`."""
    at_most: bool
    value: float | str
    """A number, or the key of the other measure."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The measures that it needs."""
        return (self.key, self.value) if isinstance(self.value, str) else (self.key,)

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Reads `SPLIT/MEASURE <= VALUE` or `SPLIT/MEASURE >= VALUE`; the value may be another `SPLIT/MEASURE`.

        Raises:
            ValueError: it is neither.
        """
        written = _WRITTEN.fullmatch(text) if re.fullmatch(PATTERN, text) else None
        value: float | str = math.nan
        if written is not None:
            value = float(written["value"]) if re.fullmatch(_NUMBER, written["value"]) else written["value"]
        if written is None or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError("write extraction, or a limit such as forget/exact_match <= 0.1")
        return cls(written["key"], written["sign"] == "<=", value)

    def bound(self, measures: Sequence[Measure]) -> float:
        """The value to reach.

        Raises:
            DataError: it is that of a measure which is not there, or has no value.
        """
        return _value(self.value, measures) if isinstance(self.value, str) else self.value

    def reached(self, measures: Sequence[Measure]) -> bool:
        """Whether the measure is at or beyond the value.

        Raises:
            DataError: it is not among the measures, or has no value.
        """
        value, bound = _value(self.key, measures), self.bound(measures)
        return value <= bound if self.at_most else value >= bound

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.key} {'<=' if self.at_most else '>='} {value}"


def _value(key: str, measures: Sequence[Measure]) -> float:
    found = {measure.key: measure for measure in measures}
    if key not in found:
        raise DataError(f"until: no measure is called '{key}'; {nearest(key, found)}")
    measure = found[key]
    if measure.value is None:
        raise DataError(f"until: {key} has no value ({measure.reason}); name another measure")
    return measure.value
