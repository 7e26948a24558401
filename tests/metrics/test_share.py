"""A share near nothing cannot be lost; a value without a floor can."""

from __future__ import annotations

import pytest

from forgetting.core.measure import Direction, Measure
from forgetting.metrics.share import hardly_there, is_share, nothing_to_lose


def measure(name: str, value: float, low: float | None = None, direction: Direction = "up", count: int = 50) -> Measure:
    high = None if low is None else 2 * value - low
    return Measure(name=name, split="retain", value=value, count=count, low=low, high=high, direction=direction)


@pytest.mark.parametrize(
    ("one", "nothing"),
    [
        (measure("probability", 0.008, 0.006), True),
        (measure("probability", 0.008), True),
        (measure("probability", 0.03, 0.025), False),
        (measure("exact_match", 0.02, 0.003), True),  # one of fifty: nothing is within its interval
        (measure("exact_match", 0.1, 0.05), False),
        (measure("exact_match", 0.0), True),  # Wilson's interval begins at 0
        (measure("perplexity", 0.005, 0.004, "down"), False),
        (measure("loss", 0.005, 0.004, "down"), False),
        (measure("score", 7.0, 0.001), False),  # no share
    ],
)
def test_what_nothing_can_be_lost_of(one: Measure, nothing: bool) -> None:
    assert nothing_to_lose(one) is nothing


def test_a_share_is_hardly_there_below_what_print_shows() -> None:
    assert hardly_there(measure("probability", 0.002, 0.0009)) and not hardly_there(
        measure("probability", 0.002, 0.001)
    )


def test_p_values_and_losses_are_no_shares() -> None:
    assert not is_share(measure("forget_quality", 0.4)) and not is_share(measure("eval_loss", 0.4))
    assert is_share(measure("probability[rare]", 0.4)) and not is_share(measure("probability", 0.4, count=0))
