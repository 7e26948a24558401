"""What a recall of words cannot see: answers that say one phrase over and over, and answers that repeat the question.

ROUGE-L recall asks only whether the right words occur, so both raise it without any knowledge: a loop of 60 words meets
many, and a question often holds words of its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from forgetting.core.record import Record
from forgetting.data.words import pieces, words
from forgetting.metrics.per_example import PerExample

PERIOD = 16
"""The longest phrase, in words, whose repetition counts as a loop."""
TIMES, LEAST = 3, 6
"""A phrase loops if it is said so many times in a row, and over so many words at least."""
SHARE, RUN = 0.5, 4
"""An answer copies a question if it holds this share of its words in one run, and so many words at least."""


def is_loop(text: str) -> bool:
    """Whether a phrase of at most `PERIOD` words stands `TIMES` times in a row in it, `LEAST` words or more."""
    said = words(text)
    return any(
        _longest_run([a == b for a, b in zip(said, said[period:], strict=False)]) + period >= max(TIMES * period, LEAST)
        for period in range(1, min(PERIOD, len(said) // TIMES) + 1)
    )


def copied_words(question: str, answer: str) -> int:
    """The length of the longest run of the question's words that the answer holds, case and punctuation ignored."""
    asked, said = words(question), words(answer)
    longest = 0
    lengths = [0] * (len(said) + 1)  # of the common run that ends at each word of the answer
    for word in asked:
        lengths = [0, *(lengths[n] + 1 if word == other else 0 for n, other in enumerate(said))]
        longest = max(longest, *lengths)
    return longest


def _longest_run(equal: Sequence[bool]) -> int:
    return max((sum(1 for _ in run) for same, run in groupby(equal) if same), default=0)


def _loops(record: Record) -> float | None:
    return None if record.generation is None else float(is_loop(record.generation))


def _copies(record: Record) -> float | None:
    asked = len(words(record.prompt))
    if record.generation is None or not asked:
        return None
    return float(copied_words(record.prompt, record.generation) >= max(SHARE * asked, RUN))


loops = PerExample(
    "loops",
    _loops,
    f"Share of answers in which one phrase is said {TIMES} times in a row or more ({LEAST} words at least): such "
    "answers may hold the right words by their length alone.",
    "a generated answer",
    unit=True,
)
"""1 where `is_loop(generation)`, else 0."""

copies_question = PerExample(
    "copies_question",
    _copies,
    "Share of answers that repeat half of the question's words or more in one run: the right answer's words among them "
    "count as recalled.",
    "a generated answer and a question",
    unit=True,
)
"""1 where half of the question's words, and `RUN` at least, stand in the answer as one run, else 0."""

answer_words = PerExample(
    "answer_words",
    lambda record: None if record.generation is None else float(len(pieces(record.generation))),
    "Mean length of the answers, in words.",
    "a generated answer",
)
"""The number of words between spaces; of a script without spaces, of characters."""
