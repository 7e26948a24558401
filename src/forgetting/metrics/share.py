"""Shares: values between 0 and 1 of which nothing, or nearly nothing, may be there to lose."""

from __future__ import annotations

from forgetting.core.measure import Measure
from forgetting.metrics.forget_quality import names_p_value
from forgetting.metrics.proportions import Interval, wilson

LEAST = 0.001
"""Less is not told from nothing by any sentence, as it is not in print."""
NEARLY_NOTHING = 0.01
"""Of so little no part can be lost that means anything: a tenth or all of it, it is one answer in a hundred."""
_WITHOUT_TOP = ("loss", "perplexity", "bits_per_byte")
"""Names, or ends of them, of measures that may be 0 or 1 and are no shares."""


def is_share(measure: Measure) -> bool:
    """Whether the value lies between 0 and 1, as far as its name says by nature."""
    if measure.value is None or measure.count < 1 or names_p_value(measure.name):
        return False
    return 0 <= measure.value <= 1 and not measure.name.split("[")[0].endswith(_WITHOUT_TOP)


def ends(measure: Measure) -> Interval | None:
    """The 95% interval; Wilson's for a share of exactly 0 or 1 that was stored without one."""
    if measure.low is not None and measure.high is not None:
        return measure.low, measure.high
    return wilson(measure.value, measure.count) if is_share(measure) and measure.value in (0, 1) else None


def hardly_there(measure: Measure, least: float = LEAST) -> bool:
    """Whether a share is not told apart from nothing: its interval, or without one its value, begins below `least`."""
    known = ends(measure)
    value = 0.0 if measure.value is None else measure.value
    return is_share(measure) and (value if known is None else known[0]) < least


def next_to_nothing(measure: Measure) -> bool:
    """Whether a share is so little that it is not told from nothing: the mean itself, whatever noise it has."""
    return is_share(measure) and measure.value is not None and measure.value < LEAST


def nothing_to_lose(start: Measure) -> bool:
    """Whether a loss is not to be counted from this value: a share whose interval reaches down to nearly nothing.

    The half or nine tenths of such a value are noise, or an amount that nobody would miss. A measure that rises with
    loss (direction `down`, such as perplexity) has no such floor.
    """
    return start.direction != "down" and hardly_there(start, NEARLY_NOTHING)
