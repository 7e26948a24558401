"""How attacks ask: questions as they are, documents by the beginning of a passage that the model is to continue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from forgetting.audits.attack import Target
from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.data.formatting import Formatting
from forgetting.evaluation.answers import answer

BEFORE, AFTER = 32, 32
"""Tokens of a document that are shown, and tokens behind them that the model is to continue with."""
_FEWEST = 4
"""A document of fewer tokens is not asked."""


def questions(target: Target, examples: Sequence[Example] | None = None, before: int = BEFORE) -> list[Example]:
    """The examples, those of the split by default, as they are asked: documents as passages to be continued.

    Verbatim sequences of token ids and documents of a few tokens are left out.

    Raises:
        DataError: nothing is left of the split's examples.
    """
    given = target.examples if examples is None else examples
    asked = [e for example in given if (e := _asked(example, target.tokenizer, before)) is not None]
    if not asked and examples is None:
        raise DataError(
            f"none of the {len(given)} {target.split} examples has a prompt or a text of {_FEWEST} tokens or more, so "
            "there is nothing to ask; audit a run of questions and answers, or of documents"
        )
    return asked


def answers(
    target: Target, asked: Sequence[Example], *, attempt: str = "", formatting: Formatting | None = None
) -> list[Record]:
    """Greedy answers to the examples with their scores: a record each, in their order.

    What a model writes behind a text does not end where the right answer ends: it is cut there.

    Args:
        target: the model and how it is asked.
        asked: see `questions`.
        attempt: what the records say of how they were asked.
        formatting: in place of the target's.
    """
    found: dict[int, Record] = {}
    for text in (False, True):
        places = [at for at, example in enumerate(asked) if (example.form == "text") == text]
        records = answer(
            target.model,
            target.tokenizer,
            [plain(asked[at]) for at in places],
            split=target.split,
            formatting=formatting or target.formatting,
            max_new_tokens=None if text else target.max_new_tokens,
            voice=target.voice,
        )
        found |= zip(places, (cut(r, text=text, attempt=attempt) for r in records), strict=True)
    return [found[at] for at in range(len(asked))]


def plain(example: Example) -> Example:
    """The example without wrong answers and paraphrases, which would be scored too."""
    return replace(example, perturbed=(), paraphrased=None, paraphrased_prompt=None)


def cut(record: Record, *, text: bool, attempt: str = "") -> Record:
    """The record with the name of its attempt; where a text goes on, only as long as the right answer is."""
    if not text or record.generation is None:
        return replace(record, attempt=attempt)
    return replace(record, attempt=attempt, generation=_beginning(record.generation, len(record.answer.strip())))


def _beginning(text: str, length: int) -> str:
    """So many characters, up to the end of the last word among them."""
    text = text.lstrip()
    while 0 < length < len(text) and text[length - 1].isalnum() and text[length].isalnum():
        length += 1
    return text[:length]


def _asked(example: Example, tokenizer: PreTrainedTokenizerBase, before: int) -> Example | None:
    if example.form == "tokens":
        return None
    if example.prompt:
        return example
    return _continued(example, tokenizer, before)


def _continued(example: Example, tokenizer: PreTrainedTokenizerBase, before: int) -> Example | None:
    """A document's first `before` tokens as a prompt and the next `AFTER` as the answer; of a short one, its halves."""
    text = example.response
    places = _starts(text, tokenizer)
    if len(places) < _FEWEST:
        return None
    first = min(before, len(places) // 2)
    stop = places[first + AFTER] if first + AFTER < len(places) else len(text)
    begin = places[first]
    while begin and text[begin - 1].isspace():  # the space belongs to the answer
        begin -= 1
    shown, hidden = text[:begin], text[begin:stop].rstrip()
    if not shown.strip() or not hidden:
        return None
    return replace(plain(example), prompt=shown, response=hidden, max_tokens=None, token_weights=())


def _starts(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Where each token begins; of a tokenizer that does not tell, each word."""
    if not tokenizer.is_fast:
        return [found.start() for found in re.finditer(r"\S+", text)]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [start for start, stop in encoded["offset_mapping"] if stop > start]
