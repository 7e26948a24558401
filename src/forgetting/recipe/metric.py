"""A metric that a recipe requests in addition to those of its suites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from forgetting.core.errors import RecipeError
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

    def check_direction(self, known: Mapping[str, Direction]) -> None:
        """Refuses a direction that would do nothing, since a suite measures the same with another.

        Args:
            known: by key, the direction of those measures of the metric that suites bring. Closer to the oracle is what
                they say themselves where there is one.

        Raises:
            RecipeError: there is such a measure.
        """
        if self.direction in (None, "oracle"):
            return
        for key, other in known.items():
            if other != self.direction:
                raise RecipeError(
                    f"metrics: '{self.name}': {key} is measured already, with direction {other}, and keeps it; leave "
                    f"direction: {self.direction} out, or name other splits"
                )
