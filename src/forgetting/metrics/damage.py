"""Damage: what should have stayed has fallen beyond noise. A damaged model reaches no goal of unlearning."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.likelihood import probability
from forgetting.metrics.share import hardly_there
from forgetting.metrics.statistics import FEWEST

TOLERATED = 0.1
"""The share of a measure that may be lost."""


def damaged(declared: Declaration, start: Sequence[Measure], now: Sequence[Measure]) -> tuple[str, ...]:
    """The keys of the measures that show damage; empty: none does.

    Looked at are the measures that the suite declares as alarm and, in its balance, as retained knowledge and utility.
    Only where none of these can show damage does the probability of unseen text stand in for them. (Unseen text that
    shares its form with the forget set falls with it, while what should stay is in place: that is no damage, and going
    on would make it one. Its MA is never looked at: it falls first, and the goal compares MA itself.) A measure shows
    damage if more than a tenth of it is lost,

        now < 0.9 · start      where higher is better
        now > start / 0.9      where lower is better (direction `down`, such as perplexity)

    and the loss is beyond noise: the 95% intervals do not meet, one of them is absent, or they are of fewer than
    `FEWEST` examples, of which they say nothing. So does one that had a value
    at the start and has none now. A start that is not above 0, or a share not told from nothing (`hardly_there`), can
    show nothing.

    Args:
        declared: what the suite declares.
        start: measures of the model that the loss is counted from.
        now: measures of the model that is judged, of the same examples.
    """
    begun, found = ({m.key: m for m in measures} for measures in (start, now))
    looked_at = [key for key in _kept(declared) if key in found and _can_show(begun.get(key))]
    if not looked_at and declared.extraction is not None:
        unseen = f"{declared.extraction.unseen}/{probability.name}"
        looked_at = [unseen] if unseen in found and _can_show(begun.get(unseen)) else []
    return tuple(key for key in looked_at if _lost(begun[key], found[key]))


def _kept(declared: Declaration) -> dict[str, None]:
    """The keys of what should stay, each once."""
    balance = declared.balance
    return dict.fromkeys((*declared.alarm, *((balance.retain, balance.utility) if balance else ())))


def _can_show(start: Measure | None) -> bool:
    """Whether there is something to lose."""
    if start is None or start.value is None or start.value <= 0:
        return False
    return start.direction == "down" or not hardly_there(start)


def _lost(start: Measure, now: Measure) -> bool:
    assert start.value is not None, "what has no value can show nothing"
    if now.value is None:
        return True
    rises = now.direction == "down"
    kept = 1 - TOLERATED
    if (now.value * kept <= start.value) if rises else (now.value >= kept * start.value):
        return False
    if min(start.count, now.count) < FEWEST:  # they were to stay themselves, whatever becomes of others
        return True
    lower, upper = (start, now) if rises else (now, start)
    return lower.high is None or upper.low is None or lower.high < upper.low
