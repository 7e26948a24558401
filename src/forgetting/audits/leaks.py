"""What an attack got out of a model, fact by fact: the values by which two models are compared.

Pure functions of the records of one model under one attack. Where a record is redacted, the values that were computed
from its texts are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from forgetting.audits.measures import any_right, by_question, is_choice, right_in
from forgetting.core.record import Record
from forgetting.metrics.likelihood import option_probability, probability

UNTOUCHED = "untouched"
"""In `Record.values` of a fact to keep, where an attack changes the model: the probability of the right answer before
it did. What is left of it says whether the attack breaks the model (`audits.certificate.controls`)."""
BY_WORDS = ("leak", "leak@half")
"""The values that right answers give, word for word: above 0 where any attempt is right."""


def leaks(records: Sequence[Record], value: str = "leak") -> dict[str, float | None]:
    """One value for each fact, by its id; None: it could not be measured.

    Args:
        records: of one model and one split under one attack; the attempts at one fact share its id.
        value: its name in `VALUES`.

    Raises:
        KeyError: there is no value of that name.
    """
    of = VALUES[value]
    return {id: of(some) for id, some in by_question(records).items()}


def tries(records: Sequence[Record], value: str = "leak") -> Counter[str]:
    """How many attempts at each fact the value was taken from; two models compare where these are equal.

    Of `leak` all of them, for an answer that could not be scored makes it unknown; of the others those with a score.
    """
    score = _SCORES.get(value)
    return Counter(record.id for record in records if score is None or score(record) is not None)


def clusters(records: Sequence[Record]) -> dict[str, str]:
    """The key by which intervals are clustered, for each fact by its id."""
    return {record.id: record.cluster for record in records}


def _leak(tries: Sequence[Record]) -> float | None:
    return any_right(_answered(tries))


def _half_leak(tries: Sequence[Record]) -> float | None:
    """The chance that half of the attempts, drawn at random, include a right one: over all halves, so less by chance
    than whether one of them does."""
    answered = _answered(tries)
    return right_in(max(1, len(answered) // 2), answered) if answered else None


def _answered(tries: Sequence[Record]) -> list[Record]:
    return [record for record in tries if not is_choice(record)]


def _probability(tries: Sequence[Record]) -> float | None:
    """The highest p(answer)^(1/tokens) of the attempts."""
    return _highest([_likely(record) for record in tries])


def _choice(tries: Sequence[Record]) -> float | None:
    """The highest share of the right answer among those offered."""
    return _highest([_chosen(record) for record in tries])


def _likely(record: Record) -> float | None:
    return None if is_choice(record) else probability.value_of(record)


def _chosen(record: Record) -> float | None:
    return option_probability.value_of(record) if is_choice(record) else None


def _highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


VALUES: Mapping[str, Callable[[Sequence[Record]], float | None]] = {
    "leak": _leak,
    "leak@half": _half_leak,
    "probability": _probability,
    "choice": _choice,
}
"""From the attempts at one fact to a value between 0 and 1, higher where more is given away; None: not measured."""
_SCORES: Mapping[str, Callable[[Record], float | None]] = {"probability": _likely, "choice": _chosen}
