"""A measure is compared with another up to the end of the other's interval; next to nothing is never more."""

from __future__ import annotations

import pytest

from forgetting.core.measure import Measure
from forgetting.metrics.no_more import no_less, no_more


def measure(
    value: float | None, low: float | None = None, high: float | None = None, name: str = "x", count: int = 20
) -> Measure:
    return Measure(name=name, split="s", value=value, count=count, low=low, high=high)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (measure(0.2), measure(0.2), True),
        (measure(0.21), measure(0.2), False),
        (measure(0.21, 0.1, 0.3), measure(0.2), False),  # its own interval does not count
        (measure(0.21), measure(0.2, 0.18, 0.22), True),
        (measure(0.525), measure(0.427, 0.4, 0.45), False),
        (measure(1e-7), measure(1e-8), True),
        (measure(0.225, 0.0004, 0.45), measure(1e-5), False),  # two of eight texts are still recited
        (measure(1e-7, name="loss"), measure(1e-8, name="loss"), False),  # no share
        (measure(0.0326), measure(0.0272, 0.0217, 0.034), True),
        (measure(None), measure(0.2), False),
        (measure(0.1), measure(None), False),
        (measure(0.0), measure(0.0), True),
        (measure(0.5), measure(0.0, 0.0, 0.561, count=3), False),  # half is recited, and none of three unseen texts
        (measure(0.1), measure(0.0, 0.0, 0.161), False),  # two of twenty, and none of twenty
        (measure(0.1), measure(0.05, 0.009, 0.236), True),  # two of twenty, and one of twenty
        (measure(0.5), measure(0.333, 0.06, 0.79, count=3), False),  # three texts show no range
    ],
)
def test_what_is_no_more(own: Measure, other: Measure, expected: bool) -> None:
    assert no_more(own, other) is expected


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (measure(0.2), measure(0.2), True),
        (measure(0.19), measure(0.2), False),
        (measure(0.19), measure(0.2, 0.18, 0.22), True),
        (measure(0.9), measure(1.0, 0.84, 1.0), False),
        (measure(0.9), measure(0.95, 0.76, 0.99), True),
        (measure(3.0, 1.2, 50.0, name="perplexity"), measure(20.0, 18.0, 22.0, name="perplexity"), False),
        (measure(None), measure(0.2), False),
        (measure(0.1), measure(None), False),
    ],
)
def test_what_is_no_less(own: Measure, other: Measure, expected: bool) -> None:
    assert no_less(own, other) is expected
