"""Damage: what should have stayed has fallen beyond noise. A damaged model reaches no goal of unlearning."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.likelihood import probability
from forgetting.metrics.share import hardly_there

TOLERATED = 0.1
"""The share of a measure that may be lost."""


def damaged(declared: Declaration, start: Sequence[Measure], now: Sequence[Measure]) -> tuple[str, ...]:
    """The keys of the measures that show damage; empty: none does.

    Looked at are the measures that the suite declares as alarm and, in its balance, as retained knowledge and utility;
    and the probability of unseen text, which unlearning should leave alone. (Not its MA: unlearning a form that both
    texts share changes first choices and leaves probabilities; and the goal compares MA itself.) One shows damage if
    more than a tenth of it is lost,

        now < 0.9 · start      where higher is better
        now > start / 0.9      where lower is better (direction `down`, such as perplexity)

    and the loss is beyond noise: the 95% intervals do not meet, or one of them is absent. So does one that had a value
    at the start and has none now. A start that is not above 0, or a share not told from nothing (`hardly_there`), shows
    nothing.

    Args:
        declared: what the suite declares.
        start: measures of the model that the loss is counted from.
        now: measures of the model that is judged, of the same examples.
    """
    balance = declared.balance
    keys = dict.fromkeys((*declared.alarm, *((balance.retain, balance.utility) if balance else ())))
    if declared.extraction is not None:
        keys[f"{declared.extraction.unseen}/{probability.name}"] = None
    begun, found = ({m.key: m for m in measures} for measures in (start, now))
    return tuple(key for key in keys if key in begun and key in found and _lost(begun[key], found[key]))


def _lost(start: Measure, now: Measure) -> bool:
    if start.value is None or start.value <= 0 or (start.direction != "down" and hardly_there(start)):
        return False
    if now.value is None:
        return True
    rises = now.direction == "down"
    kept = 1 - TOLERATED
    if (now.value * kept <= start.value) if rises else (now.value >= kept * start.value):
        return False
    lower, upper = (start, now) if rises else (now, start)
    return lower.high is None or upper.low is None or lower.high < upper.low
