"""Multiple choice, by the letters: which one a model prefers, and whether it is the right one.

A record's answer is the right letter, its perturbed answers are the others in their order. How likely the right letter
is among them is `likelihood.option_probability`, and among all that could follow `likelihood.probability`.
"""

from __future__ import annotations

from forgetting.core.record import Record
from forgetting.metrics.likelihood import usable
from forgetting.metrics.per_example import PerExample

LETTERS = "ABCD"
_NEEDS = "scores of the four letters"


def chosen_letter(record: Record) -> str | None:
    """The likeliest letter, of equally likely ones the first; None if one of them has no score."""
    right = record.answer.strip()
    own, others = usable(record.score), [usable(score) for score in record.perturbed]
    if own is None or right not in LETTERS or len(others) != len(LETTERS) - 1 or right == "":
        return None
    logs = [score.logp for score in others if score is not None]
    if len(logs) < len(others):
        return None
    logs.insert(LETTERS.index(right), own.logp)
    return LETTERS[logs.index(max(logs))]


def _right(record: Record) -> float | None:
    letter = chosen_letter(record)
    return None if letter is None else float(letter == record.answer.strip())


choice_accuracy = PerExample(
    "choice_accuracy",
    _right,
    "Share of questions whose likeliest letter is the right one, as the harness counts it. Guessing gives 0.25; "
    "clearly less is a preference for wrong letters, not ignorance.",
    _NEEDS,
    unit=True,
)
"""1 if the right letter has the largest log p (of equal ones the first letter counts), else 0."""


def letter_share(letter: str) -> PerExample:
    """How often one letter is preferred."""

    def chosen(record: Record) -> float | None:
        found = chosen_letter(record)
        return None if found is None else float(found == letter)

    return PerExample(
        f"chosen_{letter}",
        chosen,
        f"Share of questions whose likeliest letter is {letter}, right or wrong. Where one letter is preferred for "
        "nearly all questions, accuracy tells of the format and not of the knowledge.",
        _NEEDS,
        unit=True,
    )
