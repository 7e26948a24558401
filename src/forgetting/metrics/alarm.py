"""The alarm of an evaluation: what a suite declares as retained knowledge has fallen apart while a stage trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forgetting.core.declaration import Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.share import nothing_to_lose

Alarm = Callable[[Sequence[Measure]], str | None]
"""Given an evaluation's measures, says what rings; None: nothing does."""


def knowledge_alarm(declared: Declaration, start: Sequence[Measure], multiple: float | None) -> Alarm:
    """Rings when a declared measure is below 1/multiple of its start, or above multiple × its start.

        value < start / multiple          where higher is better
        value > start · multiple          where lower is better (direction `down`, such as perplexity)

    A measure without a value on either side, whose start is not above 0, or of which nothing could be lost
    (`nothing_to_lose`), does not ring.

    Args:
        declared: what the suite declares; its `alarm` names the measures.
        start: measures of the model before, of the examples that the evaluations use.
        multiple: `collapse_at`, above 1; None: nothing rings.
    """
    begun = {m.key: m.value for m in start if m.value is not None and m.value > 0 and not nothing_to_lose(m)}

    def ring(measures: Sequence[Measure]) -> str | None:
        if multiple is None:
            return None
        found = {m.key: m for m in measures if m.value is not None}
        for key in declared.alarm:
            if key in begun and key in found and (said := _said(found[key], begun[key], multiple)):
                return said
        return None

    return ring


def _said(measure: Measure, start: float, multiple: float) -> str | None:
    assert measure.value is not None
    rises = measure.direction == "down"
    limit = start * multiple if rises else start / multiple
    if (measure.value <= limit) if rises else (measure.value >= limit):
        return None
    way = f"above {multiple:g} ×" if rises else f"below 1/{multiple:g} of"
    return (
        f"{measure.key} is {measure.value:.3g}, {way} its start of {start:.3g}. Lower learning_rate or the forget "
        "weight, or set collapse_at: null to continue regardless"
    )
