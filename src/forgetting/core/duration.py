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


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a stage runs, or how often something happens: steps, epochs of the first role, or supervised tokens."""

    value: float
    unit: Unit

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """`"5 epochs"`, `"60 steps"`, `"2e6 tokens"` (a singular unit is fine).

        Raises:
            RecipeError: no number, no unit, or a number that is not positive.
        """
        match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(step|epoch|token)s?\s*", str(text))
        if not match or not 0 < float(match[1]) <= _MOST:
            raise RecipeError(
                f"'{text}' is not a duration; write a number and a unit, such as '5 epochs' or '60 steps'"
            )
        return cls(float(match[1]), f"{match[2]}s")  # type: ignore[arg-type]

    def steps(self, *, steps_per_epoch: int, tokens_per_epoch: int) -> int:
        """The number of optimiser steps, rounded up, at least 1."""
        per = {"steps": 1.0, "epochs": steps_per_epoch, "tokens": steps_per_epoch / max(tokens_per_epoch, 1)}[self.unit]
        return max(1, math.ceil(self.value * per - 1e-9))
