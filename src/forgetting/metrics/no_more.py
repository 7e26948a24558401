"""Whether one measure is no more, or no less, than another of the same model, as far as noise tells."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.metrics.share import ends, next_to_nothing


def no_more(own: Measure, other: Measure) -> bool:
    """Whether a value is at most the upper end of the other's 95% interval, or a share that is next to nothing.

    Without an interval the other's value decides; a measure without a value is not known to be no more.

    The tolerance is that of the other alone: what is compared may be one document, whose own interval says nothing of
    whether it stands out. Two values that are both next to nothing are not put in order: a form that was unlearned
    takes unseen text with it, and one of 1e-8 is no goal for one of 1e-7.
    """
    if own.value is None or other.value is None:
        return False
    known = ends(other)
    return own.value <= (other.value if known is None else max(other.value, known[1])) or next_to_nothing(own)


def no_less(own: Measure, other: Measure) -> bool:
    """Whether a value is at least the lower end of the other's 95% interval; without one, the other's value decides."""
    if own.value is None or other.value is None:
        return False
    known = ends(other)
    return own.value >= (other.value if known is None else min(other.value, known[0]))
