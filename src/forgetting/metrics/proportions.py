"""Intervals of shares, and of what a sample leaves hidden: one for each of Wilson, Newcombe, Clopper and Pearson."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import beta, norm

LEVEL = 0.95
Interval = tuple[float, float]


def most_hidden(seen: int, count: int) -> float:
    """The largest share of trials that `seen` of `count` allow: the upper end of Clopper and Pearson's 95% interval.

    It is exact: a larger share would give so few with a probability below 2.5%. Source: Clopper and Pearson (1934).
    """
    return 1.0 if seen >= count else float(beta.ppf((1 + LEVEL) / 2, seen + 1, count - seen))


def at_most(seen: float, count: float, level: float = LEVEL) -> float:
    """Clopper and Pearson's one-sided upper bound of a share: 0 of 78 is at most 0.038 (95%).

    Args:
        seen: of `count` trials; both may be effective numbers that are not whole (Korn and Graubard 1998).
        count: above 0.
        level: the chance at least that the bound is above the true share.
    """
    return 1.0 if seen >= count else float(beta.ppf(level, seen + 1, count - seen))


def at_least(seen: float, count: float, level: float = LEVEL) -> float:
    """The one-sided lower bound; see `at_most`."""
    return 1.0 - at_most(count - seen, count, level)


def most_on_average(values: Sequence[float], level: float = LEVEL) -> float:
    """The upper bound of the mean of what such values are drawn from, whatever its distribution on 0 … 1.

    Anderson's bound (1969) from the band of Dvoretzky, Kiefer, Wolfowitz and Massart: 1 - ∫ max(0, F(x) - ε) dx with
    ε = √(ln(1 / (1 - level)) / 2n). Of scores of sampled answers: Scholten et al. 2024,
    https://arxiv.org/abs/2410.03523 (their code takes a grid of 100 points, which is a little wider).

    Args:
        values: independent draws between 0 and 1; at least one.
        level: the chance at least that the bound is above the mean.
    """
    steps = [*sorted(values), 1.0]
    count = len(values)
    band = math.sqrt(math.log(1 / (1 - level)) / (2 * count))
    return 1.0 - sum(max(0.0, (n + 1) / count - band) * (steps[n + 1] - steps[n]) for n in range(count))


def wilson(share: float, count: float) -> Interval:
    """Wilson's interval of a share of `count` trials; `count` may be an effective number that is not whole.

    Source: Wilson (1927). z = 1.96; centre (p + z²/2n) / (1 + z²/n), half-width z √(p(1-p)/n + z²/4n²) / (1 + z²/n).
    """
    z2 = float(norm.ppf((1 + LEVEL) / 2)) ** 2
    centre = (share + z2 / 2 / count) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / 4 / count**2)) / (1 + z2 / count)
    return (0.0 if share == 0 else max(0.0, centre - half)), (1.0 if share == 1 else min(1.0, centre + half))


def alike(value: float, count: int, least: float, most: float) -> Interval:
    """The interval of the mean where all of `count` clusters have one value, and none can lie outside `least` … `most`.

    At most the share w of unlike clusters is hidden, the upper end of Wilson's interval for 0 of `count`; those could
    lie at either end, so the mean lies between value - w (value - least) and value + w (most - value). Of outcomes that
    are all 0 or all 1 this is Wilson's interval itself.
    """
    _, hidden = wilson(0.0, count)
    return value - hidden * (value - least), value + hidden * (most - value)


def paired_shares(pairs: Sequence[tuple[float, float]]) -> Interval:
    """The interval of the difference of two shares of the same trials, each outcome 0 or 1: first less second.

    Newcombe's method 10: Wilson's intervals of both shares, joined by the correlation φ of the outcomes (with its
    correction for few trials). Source: Newcombe (1998), Improved confidence intervals for the difference between
    binomial proportions based on paired data.
    """
    count = len(pairs)
    both, first, second = (sum(pair == kind for pair in pairs) for kind in ((1, 1), (1, 0), (0, 1)))
    neither = count - both - first - second
    one, other = (both + first) / count, (both + second) / count
    (low1, high1), (low2, high2) = wilson(one, count), wilson(other, count)
    spread = math.sqrt((both + first) * (second + neither) * (both + second) * (first + neither))
    excess = both * neither - first * second
    corrected = max(excess - count / 2, 0.0) if excess > 0 else float(excess)
    phi = corrected / spread if spread else 0.0

    def half(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    return one - other - half(one - low1, high2 - other), one - other + half(high1 - one, other - low2)
