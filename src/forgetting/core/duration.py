"""A number with its unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from forgetting.core.errors import RecipeError

Unit = Literal["steps", "epochs", "tokens"]


_MOST = 1e15
"""More steps, epochs or tokens than this are a slip."""
_WRITTEN = re.compile(
    r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(step|epoch|token)s?\s*"
    r"(?:,\s*at\s+least\s+([1-9][0-9_]*)\s*steps?\s*)?"
)


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a stage runs, or how often something happens: steps, epochs of the first role, or supervised tokens."""

    value: float
    unit: Unit
    at_least: int = 0
    """The least number of steps, for epochs or tokens. An epoch of a dozen examples is one step, and a few steps at a
    rate that suits thousands of examples change nothing."""

    def __str__(self) -> str:
        floor = f", at least {self.at_least} steps" if self.at_least else ""
        short = f"{self.value:g}"
        return f"{short if float(short) == self.value else self.value} {self.unit}{floor}"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """`"5 epochs"`, `"60 steps"`, `"2e6 tokens"`, `"5 epochs, at least 60 steps"` (a singular unit is fine).

        Raises:
            RecipeError: no number, no unit, a number that is not positive, or steps with a least number of steps.
        """
        match = _WRITTEN.fullmatch(str(text))
        if not match or not 0 < float(match[1]) <= _MOST or int(match[3] or 0) > _MOST:
            raise RecipeError(
                f"'{text}' is not a duration; write a number and a unit, such as '5 epochs', '60 steps' or "
                "'5 epochs, at least 60 steps'"
            )
        if match[2] == "step" and match[3]:
            raise RecipeError(f"'{text}' is not a duration; 'at least' is for epochs and tokens: write the steps alone")
        return cls(float(match[1]), f"{match[2]}s", int(match[3] or 0))  # type: ignore[arg-type]

    def steps(self, *, steps_per_epoch: int, tokens_per_epoch: int) -> int:
        """The number of optimiser steps, rounded up, at least 1 and `at_least`."""
        per = {"steps": 1.0, "epochs": steps_per_epoch, "tokens": steps_per_epoch / max(tokens_per_epoch, 1)}[self.unit]
        return max(1, self.at_least, math.ceil(self.value * per - 1e-9))
