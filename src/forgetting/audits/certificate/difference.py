"""How much more one model gives away than another: paired by fact, clustered by subject, with a 90% interval.

Facts of one subject are not independent, so the spread is that of subjects. Each end of the interval is a 95% bound,
which is what two one-sided tests at 5% need (TOST; Schuirmann 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.stats import norm

from forgetting.audits.certificate.claims import interval, more, no_more
from forgetting.audits.certificate.pairs import Pairs
from forgetting.metrics.proportions import LEVEL

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


def compare(
    after: Sequence[float | None], other: Sequence[float | None], subjects: Sequence[str], *, margin: float
) -> Difference:
    """The mean of `after - other`, and whether it lies within, or above, the margin.

    The interval is the widest of that of Student's t on subjects and of what a sample of so few subjects may have
    missed (`claims`): of subjects none of which differs, 29 at least show that the mean is within 0.1. Pairs that a
    side did not score count as the worst of either kind, 1 and -1: nothing missing is ever taken for no leak.

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
    (low, high), lost = interval(pairs), missing / len(after)
    inside, outside = _limits(margin, lost)
    return Difference(
        mean=pairs.mean,
        low=(1 - lost) * low - lost,
        high=(1 - lost) * high + lost,
        facts=pairs.facts,
        subjects=pairs.subjects,
        missing=missing,
        above=more(pairs, outside),
        within=max(no_more(pairs, inside), no_more(pairs.mirrored(), inside)) if inside > 0 else 1.0,
    )


def facts_needed(
    after: Sequence[float | None], other: Sequence[float | None], subjects: Sequence[str], *, margin: float
) -> int | None:
    """About how many facts, as many of each subject as here, would show or refute what is found here.

    Mean and spread are taken for the true ones, and the chance is `POWER`: for a mean of 0 and a subject for each fact,
    8.56 · spread² / (margin - 1 / facts)², since a subject that may have been missed takes its part of the margin.
    There are at least as many as would decide if none differed from the mean. None: a million would not do, as for a
    mean at the margin, for one that facts which were not scored leave open, or for a model that gives away less.

    Args:
        after: see `compare`.
        other: likewise.
        subjects: likewise.
        margin: likewise.
    """
    pairs = _pairs(after, other, subjects)
    if pairs is None or pairs.subjects < 2:
        return None
    inside, outside = _limits(margin, 1 - pairs.facts / len(after))
    small = abs(pairs.mean) < inside
    limit = inside if small else outside
    if not small and pairs.mean <= outside:
        return None
    subjects_needed = _least(abs(pairs.mean), limit)
    if subjects_needed is None:
        return None
    of_subject = pairs.facts / pairs.equal_subjects
    spread = pairs.standard_error * math.sqrt(pairs.facts)

    def enough(facts: int) -> bool:
        left = limit - of_subject / facts if small else limit
        reached = (abs(pairs.mean) < left) == small
        return reached and decides(pairs.mean, spread / math.sqrt(facts), left) >= POWER

    needed, least = _first(enough), math.ceil(subjects_needed * of_subject)
    return None if needed is None or least > _MOST else max(least, needed)


def _limits(margin: float, lost: float) -> tuple[float, float]:
    """Below which, and above which, the mean of the scored facts must lie for the claim to hold of all of them.

    With a share `lost` at ±1 the mean of all is (1 - lost) · mean ± lost.
    """
    return (margin - lost) / (1 - lost), (margin + lost) / (1 - lost)


def decides(mean: float, standard_error: float, margin: float) -> float:
    """The power of the test that a true mean calls for: of equivalence inside the margin, of a leak above it."""
    far = float(norm.ppf(LEVEL))
    if standard_error == 0:
        return float(abs(mean) != margin)
    if abs(mean) >= margin:
        return float(norm.cdf((mean - margin) / standard_error - far))
    upper, lower = ((margin - side * mean) / standard_error - far for side in (1, -1))
    return max(0.0, float(norm.cdf(upper) + norm.cdf(lower)) - 1)


def _pairs(after: Sequence[float | None], other: Sequence[float | None], subjects: Sequence[str]) -> Pairs | None:
    """The differences of the facts that both sides scored; None: there is none."""
    met = [(a - b, s) for a, b, s in zip(after, other, subjects, strict=True) if a is not None and b is not None]
    return Pairs.of([value for value, _ in met], [subject for _, subject in met]) if met else None


def _least(mean: float, margin: float) -> float | None:
    """As many subjects, all of this mean, as show it within the margin or above it; None: no number does.

    They are enough when so many drawn at random hold one, with 95%, of the subjects that the claim says are too few: of
    those that leak as a whole, or, if it is a leak that is claimed, of those that leak nothing.
    """
    missed = (margin - mean) / (1 - mean) if mean < margin else 1 - margin / mean
    if missed < 1e-9:
        return None
    return 1.0 if missed >= 1 else max(1.0, math.ceil(math.log(1 - LEVEL) / math.log(1 - missed)))


def _first(enough: Callable[[int], bool]) -> int | None:
    """The least number of facts that is enough; more is enough too."""
    low, high = 0, _MOST
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
