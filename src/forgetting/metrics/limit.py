"""A limit that one measure is to reach: `forget/exact_match <= 0.1`, or another measure of the same model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.errors import DataError, nearest
from forgetting.core.measure import Measure
from forgetting.metrics.no_more import no_less, no_more

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
        if value == written["key"]:
            raise ValueError(f"{value} is compared with itself; write a value, or another measure")
        return cls(written["key"], written["sign"] == "<=", value)

    def reached(self, measures: Sequence[Measure]) -> bool:
        """Whether the measure is at or beyond the value; beside another measure, as far as noise tells.

        See `no_more` and `no_less`.

        Raises:
            DataError: a measure is not among them, or has no value.
        """
        own, value = _found(self.key, measures)
        if isinstance(self.value, str):
            other, _ = _found(self.value, measures)
            return no_more(own, other) if self.at_most else no_less(own, other)
        return value <= self.value if self.at_most else value >= self.value

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:.12g}"
        return f"{self.key} {'<=' if self.at_most else '>='} {value}"


def _found(key: str, measures: Sequence[Measure]) -> tuple[Measure, float]:
    found = {measure.key: measure for measure in measures}
    if key not in found:
        raise DataError(f"until: no measure is called '{key}'; {nearest(key, found)}")
    measure = found[key]
    if measure.value is None:
        raise DataError(f"until: {key} has no value ({measure.reason}); name another measure")
    return measure, measure.value
