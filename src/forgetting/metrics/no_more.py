"""Whether one measure is no more, or no less, than another of the same model, as far as noise tells."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.metrics.proportions import Interval
from forgetting.metrics.share import ends, is_share, next_to_nothing
from forgetting.metrics.statistics import FEWEST


def no_more(own: Measure, other: Measure) -> bool:
    """Whether a value is at most `highest` of the other, or a share that is next to nothing.

    A measure without a value is not known to be no more.

    The tolerance is that of the other alone: what is compared may be one document, whose own interval says nothing of
    whether it stands out. Two values that are both next to nothing are not put in order: a form that was unlearned
    takes unseen text with it, and one of 1e-8 is no goal for one of 1e-7.
    """
    if own.value is None or other.value is None:
        return False
    return own.value <= highest(other) or next_to_nothing(own)


def no_less(own: Measure, other: Measure) -> bool:
    """Whether a value is at least `lowest` of the other."""
    return own.value is not None and other.value is not None and own.value >= lowest(other)


def highest(other: Measure) -> float:
    """The upper end of a measure's 95% interval; its value where that has no noise to grant: see `_noise`."""
    assert other.value is not None
    return max(other.value, _noise(other)[1])


def lowest(other: Measure) -> float:
    """The lower end, likewise."""
    assert other.value is not None
    return min(other.value, _noise(other)[0])


def _noise(other: Measure) -> Interval:
    """The range within which another value is not told from this one; the value alone where nothing shows a range.

    That is so without an interval, with fewer than `FEWEST` examples, and for a share of exactly 0 or 1: of 3 texts
    none of which is recited, the interval goes up to 0.56, which says how often others might be, and not that half of
    the forget set is recited by chance.
    """
    assert other.value is not None
    known = ends(other)
    if known is None or other.count < FEWEST or (is_share(other) and other.value in (0, 1)):
        return other.value, other.value
    return known
