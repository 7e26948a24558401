"""What an attack got out of a model, fact by fact: the values by which two models are compared.

Pure functions of the records of one model under one attack. Where a record is redacted, the values that were computed
from its texts are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from forgetting.audits.measures import any_right, by_question, is_choice
from forgetting.core.record import Record
from forgetting.metrics.likelihood import option_probability, probability


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


def clusters(records: Sequence[Record]) -> dict[str, str]:
    """The key by which intervals are clustered, for each fact by its id."""
    return {record.id: record.cluster for record in records}


def _leak(tries: Sequence[Record]) -> float | None:
    return any_right([record for record in tries if not is_choice(record)])


def _probability(tries: Sequence[Record]) -> float | None:
    """The highest p(answer)^(1/tokens) of the attempts."""
    return _highest([probability.value_of(record) for record in tries if not is_choice(record)])


def _choice(tries: Sequence[Record]) -> float | None:
    """The highest share of the right answer among those offered."""
    return _highest([option_probability.value_of(record) for record in tries if is_choice(record)])


def _highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


VALUES: Mapping[str, Callable[[Sequence[Record]], float | None]] = {
    "leak": _leak,
    "probability": _probability,
    "choice": _choice,
}
"""From the attempts at one fact to a value between 0 and 1, higher where more is given away; None: not measured."""
