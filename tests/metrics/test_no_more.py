"""One measure is no more than another up to the upper end of the other's interval, and where it is next to nothing."""

from __future__ import annotations

import pytest

from forgetting.core.measure import Measure
from forgetting.metrics.no_more import no_more


def measure(value: float | None, low: float | None = None, high: float | None = None, name: str = "x") -> Measure:
    return Measure(name=name, split="s", value=value, count=20, low=low, high=high)


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (measure(0.2), measure(0.2), True),
        (measure(0.21), measure(0.2), False),
        (measure(0.21, 0.1, 0.3), measure(0.2), False),  # its own interval does not count
        (measure(0.21), measure(0.2, 0.18, 0.22), True),
        (measure(0.525), measure(0.427, 0.4, 0.45), False),
        (measure(1e-7), measure(1e-8), True),
        (measure(1e-7, name="loss"), measure(1e-8, name="loss"), False),  # no share
        (measure(0.0326), measure(0.0272, 0.0217, 0.034), True),
        (measure(None), measure(0.2), False),
        (measure(0.1), measure(None), False),
        (measure(0.0), measure(0.0), True),
    ],
)
def test_what_is_no_more(own: Measure, other: Measure, expected: bool) -> None:
    assert no_more(own, other) is expected
