"""How much more one model gives away than another: paired by fact, clustered by subject, with a 90% interval.

Facts of one subject are not independent, so the spread is that of subjects. Each end of the interval is a 95% bound,
which is what two one-sided tests at 5% need (TOST; Schuirmann 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from forgetting.audits.certificate.pairs import Pairs
from forgetting.metrics.proportions import LEVEL, at_least, at_most

POWER = 0.8
"""The chance with which as many facts as are said to be needed would decide."""
_MOST = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean of paired differences, each between -1 and 1."""

    mean: float | None
    """Over the pairs that both sides scored; None: there is none."""
    low: float | None = None
    high: float | None = None
    """95% bounds each, with every missing pair taken at its worst; None: fewer than two subjects."""
    facts: int
    """Pairs that both sides scored."""
    subjects: int
    missing: int
    """Pairs that a side did not score."""
    above: float | None = None
    """p of the test that the difference is at most the margin: small where it is larger."""
    within: float | None = None
    """p of the tests that it lies outside the margin, the larger of the two: small where it lies inside."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A 90% interval of a mean, and the p-values of one-sided tests of a limit."""

    low: float
    high: float
    p_below: Callable[[float], float]
    """Of the test that the mean is at least the limit: small where it is clearly below."""
    p_above: Callable[[float], float]
    """Of the test that the mean is at most the limit: small where it is clearly above."""


def compare(
    after: Sequence[float | None], other: Sequence[float | None], subjects: Sequence[str], *, margin: float
) -> Difference:
    """The mean of `after - other`, and whether it lies within, or above, the margin.

    The interval is the mean ± t · standard error, with the degrees of freedom of as many subjects of equal size, less
    one. Where fewer than `FEWEST` subjects differ, their spread is not known and that interval would claim certainty:
    its ends are Clopper and Pearson's bounds of what rose and of what fell then, on the effective number of facts (Korn
    and Graubard 1998), with a correlation inside subjects of at least `ALIKE`. Likewise where all facts differ by one
    amount. Pairs that a side did not score count as the worst of either kind, 1 and -1: nothing missing is ever taken
    for no leak.

    Args:
        after: per fact, between 0 and 1; None: not scored.
        other: of the same facts.
        subjects: of the same facts.
        margin: above 0.
    """
    pairs = _pairs(after, other, subjects)
    missing = len(after) - (0 if pairs is None else pairs.facts)
    if pairs is None:
        return Difference(mean=None, facts=0, subjects=0, missing=missing)
    if pairs.subjects < 2:
        return Difference(mean=pairs.mean, facts=pairs.facts, subjects=pairs.subjects, missing=missing)
    bounds, lost = _bounds(pairs), missing / len(after)
    # With a share `lost` at ±1 the mean is (1 - lost) · mean ± lost: it lies within the margin if the mean is `inside`.
    inside, outside = (margin - lost) / (1 - lost), (margin + lost) / (1 - lost)
    return Difference(
        mean=pairs.mean,
        low=(1 - lost) * min(bounds.low, pairs.mean) - lost,
        high=(1 - lost) * max(bounds.high, pairs.mean) + lost,
        facts=pairs.facts,
        subjects=pairs.subjects,
        missing=missing,
        above=bounds.p_above(outside),
        within=max(bounds.p_below(inside), bounds.p_above(-inside)) if inside > 0 else 1.0,
    )


def facts_needed(
    after: Sequence[float | None], other: Sequence[float | None], subjects: Sequence[str], *, margin: float
) -> int | None:
    """About how many facts, as many of each subject as here, would show or refute what is found here.

    Mean and spread are taken for the true ones, and the chance is `POWER`: for a mean of 0, 8.56 · spread² / margin².
    None: a million would not do, as for a mean at the margin or with too many facts that were not scored.

    Args:
        after: see `compare`.
        other: likewise.
        subjects: likewise.
        margin: likewise.
    """
    pairs = _pairs(after, other, subjects)
    if pairs is None or pairs.subjects < 2:
        return None
    lost = 1 - pairs.facts / len(after)
    inside = (margin - lost) / (1 - lost)
    if inside <= 0:
        return None
    if pairs.few or pairs.equal:
        bounded = _few if pairs.few else _equal
        return _first(lambda times: _decided(bounded(pairs, times), inside), pairs.facts)
    spread = pairs.standard_error * math.sqrt(pairs.facts)
    return _first(
        lambda times: decides(pairs.mean, spread / math.sqrt(times * pairs.facts), inside) >= POWER, pairs.facts
    )


def decides(mean: float, standard_error: float, margin: float) -> float:
    """The power of the test that a true mean calls for: of equivalence inside the margin, of a leak above it."""
    far = float(norm.ppf(LEVEL))
    if abs(mean) >= margin:
        return float(norm.cdf((mean - margin) / standard_error - far))
    upper, lower = ((margin - side * mean) / standard_error - far for side in (1, -1))
    return max(0.0, float(norm.cdf(upper) + norm.cdf(lower)) - 1)


def _pairs(after: Sequence[float | None], other: Sequence[float | None], subjects: Sequence[str]) -> Pairs | None:
    """The differences of the facts that both sides scored; None: there is none."""
    met = [(a - b, s) for a, b, s in zip(after, other, subjects, strict=True) if a is not None and b is not None]
    return Pairs.of([value for value, _ in met], [subject for _, subject in met]) if met else None


def _bounds(pairs: Pairs) -> _Bounds:
    if pairs.few:
        return _few(pairs)
    if pairs.equal:
        return _equal(pairs)
    mean, error, free = pairs.mean, pairs.standard_error, max(pairs.equal_subjects - 1, 1e-3)
    if error == 0:  # subjects of one mean, whose facts differ: what is left is the spread of the facts
        error = float(pairs.values_N.std(ddof=1)) / math.sqrt(pairs.effective)
    half = float(student.ppf(LEVEL, free)) * error
    return _Bounds(
        mean - half,
        mean + half,
        lambda limit: float(student.sf((limit - mean) / error, free)),
        lambda limit: float(student.sf((mean - limit) / error, free)),
    )


def _few(pairs: Pairs, times: float = 1.0) -> _Bounds:
    """Of `times` as many facts: Clopper and Pearson's bounds of what rose and what fell, joined (MOVER)."""
    count = times * pairs.effective
    risen, fallen = (share / pairs.facts for share in (pairs.risen, pairs.fallen))

    def high(up: float, down: float, level: float) -> float:
        most, least = at_most(up * count, count, level), at_least(down * count, count, level)
        return up - down + math.hypot(most - up, down - least)

    def reached(up: float, down: float, limit: float) -> float:
        """1 less the largest level at which the bound is below the limit."""
        if high(up, down, 0.5) >= limit:
            return 1.0
        return 1.0 - float(brentq(lambda level: high(up, down, level) - limit, 0.5, 1 - 1e-12))

    return _Bounds(
        -high(fallen, risen, LEVEL),
        high(risen, fallen, LEVEL),
        lambda limit: reached(risen, fallen, limit),
        lambda limit: reached(fallen, risen, -limit),
    )


def _equal(pairs: Pairs, times: float = 1.0) -> _Bounds:
    """Of `times` as many facts, all of one value: as many others as may be hidden could lie at either end."""
    count, value = times * pairs.effective, pairs.mean
    hidden = at_most(0, count)

    def reached(share: float) -> float:
        return 1.0 if share <= 0 else max(0.0, 1 - share) ** count

    return _Bounds(
        value - hidden * (value + 1),
        value + hidden * (1 - value),
        lambda limit: reached((limit - value) / (1 - value) if value < 1 else 0.0),
        lambda limit: reached((value - limit) / (1 + value) if value > -1 else 0.0),
    )


def _decided(bounds: _Bounds, margin: float) -> bool:
    return bounds.low > margin or (-margin < bounds.low and bounds.high < margin)


def _first(enough: Callable[[float], bool], facts: int) -> int | None:
    """The least number of facts that is enough, `times` of those there are; more is enough too."""
    low, high = 0, _MOST
    if not enough(high / facts):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle / facts) else (middle, high)
    return high
