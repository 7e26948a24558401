"""How many examples of a split have text written for them, where that is not all."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from forgetting.core.strict import Strict


class Sample(Strict):
    """Writing text costs most of an evaluation; see `forgetting.benchmarks.writing`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    examples: int = Field(gt=0, lt=2**31, description="Examples of each split that have text written for them.")
    seed: int = Field(0, ge=0, lt=2**31, description="Fixes which examples these are, whatever the recipe's seed.")
