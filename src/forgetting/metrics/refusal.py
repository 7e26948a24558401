"""Whether a model refuses to answer: its answer begins with a known refusal."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.errors import RecipeError
from forgetting.core.record import Record
from forgetting.data.alternates import REFUSALS
from forgetting.data.words import words
from forgetting.metrics.per_example import PerExample

KNOWN = (*REFUSALS, "I do not know", "I don't know", "I'm not sure", "I am not sure", "I cannot answer")
"""The package's refusals, and common ones."""


def refusal(texts: Sequence[str] = KNOWN) -> PerExample:
    """1 if a greedy answer begins with one of these refusals, word by word, else 0; None without an answer.

    Case, spacing and punctuation are ignored. A refusal in other words is not seen, and counts as an answer.

    Args:
        texts: the refusals; default: `KNOWN`.

    Raises:
        RecipeError: no text, or one without words.
    """
    known = [_words(text) for text in texts]
    if not known or not all(known):
        raise RecipeError("refusal: texts are the refusals to look for, each with words; write at least one")

    def refused(record: Record) -> float | None:
        if record.generation is None:
            return None
        said = _words(record.generation)
        return float(any(said[: len(one)] == one for one in known))

    return PerExample(
        "refusal",
        refused,
        f"Share of greedy answers that begin with one of {len(known)} known refusals; one in other words is not seen.",
        "a generated answer",
        unit=True,
    )


def _words(text: str) -> list[str]:
    return words(text.replace("\u2019", "'"))
