"""The stop rule looks at MA first: while that is too high, EL decides nothing and need not be measured."""

import pytest

from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.pipeline.run.stop_rule import ExtractionRule

RULE = ExtractionRule(Thresholds(10, 0.1, 0.3), "one-forget")


def measures(accuracy: float, likelihood: float | None) -> list[Measure]:
    values = {"memorization_accuracy": accuracy, "el_10": likelihood}
    return [Measure(name=name, split="one-forget", value=value, count=1) for name, value in values.items()]


@pytest.mark.parametrize(
    ("accuracy", "likelihood", "reached"),
    [(0.31, None, False), (0.31, 0.0, False), (0.3, 0.1, True), (0.2, 0.11, False), (0.0, 0.0, True)],
)
def test_both_have_to_be_at_or_below(accuracy: float, likelihood: float | None, reached: bool) -> None:
    assert RULE(measures(accuracy, likelihood)) is reached
    assert RULE.within_reach(measures(accuracy, likelihood)) is (accuracy <= 0.3)
