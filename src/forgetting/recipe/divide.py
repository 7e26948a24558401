"""How what is measured is divided into a half to choose by and a half to report."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from forgetting.core.strict import Strict


class Divide(Strict):
    """The two halves of the source facts that a recipe measures; see `forgetting.benchmarks.division`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    selection: float = Field(0.5, gt=0, lt=1, description="The share of the source facts that are chosen by.")
    seed: int = Field(0, ge=0, lt=2**31, description="Fixes which facts these are, whatever the recipe's seed.")
    report: bool = Field(True, description="false: the reported half is not measured at all.")
