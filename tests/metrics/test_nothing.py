"""Where nothing changed, an interval leaves out 0 no more often than once in twenty, of few examples too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forgetting.metrics.changes import change_intervals
from forgetting.metrics.statistics import Floats

Drawn = tuple[Floats, Floats]
Shape = tuple[int, int]


def alone(draw: Callable[[np.random.Generator, Shape], Floats]) -> Callable[[np.random.Generator, Shape], Drawn]:
    """Each example is a source by itself."""
    return lambda rng, shape: (draw(rng, shape), np.ones(shape))


def clustered(rng: np.random.Generator, shape: Shape) -> Drawn:
    """Sources of one to six examples each, whose changes are correlated by a half, and skewed."""
    sizes = rng.integers(1, 7, shape).astype(float)
    shared = sizes * (rng.standard_exponential(shape) - 1)
    return np.sqrt(0.5) * (shared + np.sqrt(sizes) * rng.standard_normal(shape)), sizes


DRAWN = {
    "normal": alone(lambda rng, shape: rng.standard_normal(shape)),
    "heavy": alone(lambda rng, shape: rng.standard_t(3, shape)),
    "lognormal": alone(lambda rng, shape: rng.lognormal(size=shape) - rng.lognormal(size=shape)),
    "skewed": alone(lambda rng, shape: rng.standard_exponential(shape) - 1),
    "clustered": clustered,
}
"""Sums and sizes by source example of changes whose mean is 0."""
COUNTS = (4, 6, 10, 20, 50)
LEVEL = 0.05


def called(of: str, count: int, cases: int, seed: int) -> float:
    """The share of cases whose interval leaves out 0."""
    rng, wrong, block = np.random.default_rng([seed, count]), 0, 1000
    for start in range(0, cases, block):
        sums_KC, sizes_KC = DRAWN[of](rng, (min(block, cases - start), count))
        low_K, high_K = change_intervals(sums_KC, sizes_KC, key=f"{of}/{count}/{seed}/{start}").T
        wrong += int(((low_K > 0) | (high_K < 0)).sum())
    return wrong / cases


@pytest.mark.parametrize("of", ["heavy", "skewed"])
def test_few_examples_do_not_call_a_change_where_there_is_none(of: str) -> None:
    assert called(of, 4, 100, seed=0) == 0
    assert called(of, 10, 1000, seed=0) < LEVEL


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("of", list(DRAWN))
def test_of_a_million_cases_of_nothing_no_more_than_the_level_are_called_a_change(of: str, count: int) -> None:
    cases = 1_000_000 // (len(DRAWN) * len(COUNTS))
    found = called(of, count, cases, seed=1)
    print(f"{of}, {count} sources: {found:.4f}")
    assert found < LEVEL + 3 * (LEVEL * (1 - LEVEL) / cases) ** 0.5
