"""Where a number or a name may be sought when it is tuned: a range, or a list of values."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, slots=True)
class Tunable:
    """A range of numbers, both ends included. A method's parameter has it in its type: `Annotated[float, Tunable(…)]`.

    Raises:
        ValueError: the ends are not finite, not in order, or not above 0 on a log scale.
    """

    low: float
    high: float
    log: bool = False
    """Whether each factor is as likely, instead of each difference."""
    whole: bool = False
    """Whether only whole numbers are meant."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}; write two numbers, the lower one first")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low:g}; a log scale needs a number above 0")
        if self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError(f"{self.low:g} to {self.high:g}: write whole numbers")

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.whole or float(value).is_integer())  # type: ignore[operator, arg-type]

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def is_end(self, value: float) -> bool:
        """Whether the value is at an end of the range, by a hundredth of its width on its scale."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return min(at - low, high - at) <= (high - low) / 100

    def rounded(self, value: float) -> float:
        """The value with four significant digits, or whole, inside of the range."""
        number = round(value) if self.whole else float(f"{value:.4g}")
        return min(max(number, self.low), self.high)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Single values to choose among.

    Raises:
        ValueError: fewer than two different ones.
    """

    values: tuple[str | int | float | bool, ...]

    def __post_init__(self) -> None:
        if not all(isinstance(value, str | int | float) for value in self.values) or len({*self.values}) < 2:
            raise ValueError("write at least two different values, each a number or a name")

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Sought = Tunable | OneOf


def values_of(where: Sought) -> tuple[str | int | float | bool, ...]:
    """The values to choose among; of a range, both ends."""
    return where.values if isinstance(where, OneOf) else (where.rounded(where.low), where.rounded(where.high))


def sought_in(hint: Any) -> Sought | None:
    """What a parameter's type says of where to seek it; None if it says nothing."""
    found = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    return next((part for part in found if isinstance(part, Tunable | OneOf)), None)


def sought(written: Any, *, whole: bool = False) -> Sought | None:
    """A range or list as written in a recipe: `{low: 1e-5, high: 1e-3, log: true}`, `[1, 2]`, or null for neither.

    Args:
        written: plain values.
        whole: whether the key takes whole numbers only.

    Raises:
        ValueError: it is none of these.
    """
    if written is None:
        return None
    if isinstance(written, list):
        return OneOf(tuple(written))
    if isinstance(written, Mapping) and {"low", "high"} <= written.keys() <= {"low", "high", "log"}:
        ends = [_number(written[key]) for key in ("low", "high")]
        log = written.get("log", False)
        if None not in ends and isinstance(log, bool):
            return Tunable(ends[0], ends[1], log, whole)  # type: ignore[arg-type]
    raise ValueError("write {low: …, high: …, log: true}, a list of values, or null to leave the key as it is")


def _number(value: Any) -> float | None:
    """The number as written; YAML 1.1 reads 1e-4 as a text."""
    try:
        return None if isinstance(value, bool) else float(value) if isinstance(value, str) else value + 0
    except (TypeError, ValueError):
        return None
