"""A metric that a recipe requests in addition to those of its suites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from forgetting.core.measure import Direction
from forgetting.core.strict import Strict
from forgetting.metrics.metric import Metric
from forgetting.metrics.per_example import PerExample
from forgetting.metrics.registry import build_metric


class AskedMetric(Strict):
    """A registered metric, with its parameters next to the keys below."""

    model_config = ConfigDict(extra="allow")

    name: str
    splits: list[str] | None = Field(None, min_length=1, description="Default: every split.")
    direction: Direction | None = Field(None, description="Which values are better: up, down, oracle or none.")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_registered(self) -> Self:
        self.build()
        return self

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values set in addition to the keys above."""
        return dict(self.model_extra or {})

    def build(self) -> PerExample | Metric:
        """The metric.

        Raises:
            RecipeError: unknown name or parameter, or a value that it refuses.
        """
        return build_metric(self.name, self.parameters)
