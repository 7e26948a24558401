"""The alarm rings past a multiple of the start, on declared measures only."""

from __future__ import annotations

import math
from typing import Any

import pytest

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.alarm import knowledge_alarm

DECLARED = Declaration(alarm=("retain/probability", "retain/perplexity"))


def measures(probability: float | None, perplexity: float | None = 4.0, other: float = 0.5) -> list[Measure]:
    keys: dict[str, Any] = {
        "probability": (probability, "up"),
        "perplexity": (perplexity, "down"),
        "other": (other, "up"),
    }
    return [Measure(name=n, split="retain", value=v, count=3, direction=d) for n, (v, d) in keys.items()]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (measures(0.09), None),
        (measures(0.0799), "retain/probability is 0.0799, below 1/10 of its start of 0.8"),
        (measures(0.8, 40.0), None),
        (measures(0.8, 40.1), "retain/perplexity is 40.1, above 10 × its start of 4"),
        (measures(0.8, math.inf), "retain/perplexity is inf, above 10 ×"),
        (measures(math.nan), "retain/probability is nan, below 1/10"),
        (measures(None, None), None),
        (measures(0.8, 4.0, other=0.0), None),
        ([], None),
    ],
)
def test_it_rings_past_the_multiple_of_the_start(now: list[Measure], said: str | None) -> None:
    found = knowledge_alarm(DECLARED, measures(0.8), 10.0)(now)
    assert found is None if said is None else found is not None and found.startswith(said)


def test_a_start_of_nothing_and_no_multiple_do_not_ring() -> None:
    assert knowledge_alarm(DECLARED, measures(0.0, None), 10.0)(measures(0.0, 1e9)) is None
    assert knowledge_alarm(DECLARED, measures(0.8), None)(measures(0.0, 1e9)) is None
    assert knowledge_alarm(DECLARED, measures(0.008), 10.0)(measures(0.0002)) is None  # nearly nothing to lose
    assert knowledge_alarm(DECLARED, measures(0.02), 10.0)(measures(0.0002)) is not None
