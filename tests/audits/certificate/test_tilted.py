"""The tilted test beside brute force: the nearest distribution by an optimiser, its tail by listing every draw."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import binom

from forgetting.audits.certificate.pairs import Pairs
from forgetting.audits.certificate.tilted import below, upper
from forgetting.metrics.proportions import at_most


def pairs(*values: float, sizes: tuple[int, ...] = ()) -> Pairs:
    """Subjects of one difference each, of one fact or of so many."""
    many = sizes or (1,) * len(values)
    facts = [value for value, size in zip(values, many, strict=True) for _ in range(size)]
    return Pairs.of(facts, [str(n) for n, size in enumerate(many) for _ in range(size)])


def brute(one: Pairs, limit: float, unseen: float) -> tuple[float, float]:
    """Of shares of the largest likelihood among those with mean `limit`, by every draw of as many subjects.

    The chances of a sum below the sample's, and of the very same.
    """
    scale = one.sizes_G / one.sizes_G.mean()
    terms = np.append(scale * (one.sums_G / one.sizes_G - limit), (scale**2).mean() * (unseen - limit))
    count = len(terms) - 1
    found = minimize(
        lambda shares: -np.log(shares[:-1]).sum(),
        np.full(count + 1, 1 / (count + 1)),
        bounds=[(1e-9, 1)] * count + [(0, 1)],
        constraints=[
            {"type": "eq", "fun": lambda shares: shares.sum() - 1},
            {"type": "eq", "fun": lambda shares: shares @ terms},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.success
    draws = [list(draw) for draw in product(range(count + 1), repeat=count)]
    sums, chances = (
        np.array([f(values[draw]) for draw in draws]) for f, values in ((np.sum, terms), (np.prod, found.x))
    )
    total = terms[:-1].sum()
    same = np.abs(sums - total) < 1e-9
    return float(chances[(sums < total) & ~same].sum()), float(chances[same].sum())


@pytest.mark.parametrize(
    ("values", "sizes", "limit", "unseen"),
    [
        ((0.0, 0.0, 0.0, 0.0), (), 0.1, 1.0),
        ((0.0, 0.25, -0.25, 0.5, 0.0), (), 0.4, 1.0),
        ((0.0, 1.0, 0.0, 0.0, -0.5), (), 0.3, 1.0),
        ((0.0, 1.0, 0.0, 0.0, -1.0), (), 0.3, 1.0),
        ((-0.5, -0.5, -0.25, -0.75), (), -0.2, 0.0),
        ((0.0, 0.5, 0.25), (1, 2, 4), 0.6, 1.0),
        ((0.0, 0.0, 0.0, 0.0), (4, 1, 1, 2), 0.2, 1.0),
    ],
)
def test_brute_force(values: tuple[float, ...], sizes: tuple[int, ...], limit: float, unseen: float) -> None:
    one = pairs(*values, sizes=sizes)
    less, same = brute(one, limit, unseen)
    found = below(one, limit, unseen=unseen)
    if set(values) <= {0.0, 1.0, -1.0} and not sizes:
        assert found == pytest.approx(less + same, abs=1e-5)
    else:
        assert less + 0.3 * same - 2e-4 <= found <= less + same + 2e-4


@pytest.mark.parametrize(("seen", "count"), [(0, 20), (0, 78), (1, 78), (5, 78), (3, 100)])
def test_where_all_leak_or_none_it_is_clopper_and_pearson(seen: int, count: int) -> None:
    one = pairs(*[1.0] * seen, *[0.0] * (count - seen))
    assert below(one, 0.2, unseen=1.0) == pytest.approx(float(binom.cdf(seen, count, 0.2)), abs=1e-9)
    assert upper(one, 0.95, unseen=1.0) == pytest.approx(at_most(seen, count), abs=1e-7)


def test_the_bound_is_where_p_is_five_in_a_hundred_and_it_grows_with_the_limit() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        one = pairs(*(rng.integers(-2, 4, size=int(rng.integers(3, 40))) / 6))
        end = upper(one, 0.95, unseen=1.0)
        limits = np.linspace(one.mean + 1e-6, 0.99, 12)
        p = [below(one, limit, unseen=1.0) for limit in limits]
        assert all(a >= b - 0.01 for a, b in pairwise(p))
        assert one.mean < end < 1 and below(one, end + 1e-6, unseen=1.0) <= 0.05 + 1e-6


def test_edges() -> None:
    assert below(pairs(0.2, 0.4), 0.3, unseen=1.0) == below(pairs(0.5, 0.5), 0.3, unseen=1.0) == 1.0
    assert below(pairs(0.1, 0.2), 0.3, unseen=0.3) == 0.0  # no value reaches the limit: no distribution has that mean
    assert upper(pairs(1.0, 1.0), 0.95, unseen=1.0) == 1.0
    assert upper(pairs(-0.5, -0.1), 0.95, unseen=-0.4) == -0.3


def test_subjects_in_another_order_give_the_same_bits() -> None:
    values, names = [0.1, 0.7, 0.0, 0.3, 0.0, 0.2], ["a", "b", "c", "c", "d", "a"]
    renamed = [{"a": "z", "b": "y", "c": "x", "d": "w"}[name] for name in names]
    one, other = (Pairs.of(values, some) for some in (names, renamed))
    assert below(one, 0.5, unseen=1.0) == below(other, 0.5, unseen=1.0)
    assert upper(one, 0.95, unseen=1.0) == upper(other, 0.95, unseen=1.0)
