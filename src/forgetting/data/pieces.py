"""Long documents in pieces that fit a row, cut where a paragraph or a sentence ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from forgetting.core.errors import DataError
from forgetting.core.example import Example

_BORDERS = (
    re.compile(r"\n[^\S\n]*\n\s*"),
    re.compile(r"[.!?…؟।۔][\"'”’»)\]]*\s+|[。！？][”’」』）]*\s*|\n+"),
    re.compile(r"\s+"),
)
"""Ends of paragraphs, of sentences and lines, of words."""
_WINDOW = 12
"""Characters looked at for each token that a piece may have: more than a token has on average in any language."""


def in_pieces(examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, longest: int) -> list[Example]:
    """The documents, each of more than `longest` tokens cut into pieces: ids `a.txt`, `a.txt#2`, …, one group.

    A piece has at most `longest` tokens with what the tokenizer adds; the pieces of a document, one after the other,
    are the document, but for pieces of spaces alone. Only the last is followed by an end token. A text that goes on
    after a prompt, one with `max_tokens`, one with token weights and token ids stay as they are.

    Raises:
        DataError: `longest` leaves no room for a character.
    """
    return [piece for example in examples for piece in _pieces_of(example, tokenizer, longest)]


def _pieces_of(example: Example, tokenizer: PreTrainedTokenizerBase, longest: int) -> list[Example]:
    if not example.is_document or example.form != "text" or example.max_tokens is not None or example.token_weights:
        return [example]
    end = int(tokenizer.eos_token_id is not None)
    texts = split(example.response, lambda text: len(tokenizer(text).input_ids) + end <= longest, longest * _WINDOW)
    if not texts:
        raise DataError(
            f"{example.where or example.id}: rows of {longest} tokens hold no text; raise format.max_length"
        )
    kept = [text for text in texts if text.strip()]
    return [
        replace(
            example,
            id=example.id if number == 0 else f"{example.id}#{number + 1}",
            group=example.cluster,
            response=text,
            # No end token follows: the document continues.
            max_tokens=None if number == len(kept) - 1 else longest,
        )
        for number, text in enumerate(kept)
    ]


def split(text: str, fits: Callable[[str], bool], window: int) -> list[str]:
    """A text as consecutive parts that `fits` all accepts; empty where not even a character fits.

    A part is as long as it can be and still end with a paragraph, a sentence or a word, in this order, unless the
    coarser border would leave more than half of its room empty. No part has more than `window` characters.
    """
    parts: list[str] = []
    start = 0
    while start < len(text):
        ahead = text[start : start + window]
        length = len(ahead) if start + len(ahead) == len(text) and fits(ahead) else _length(ahead, fits)
        if not length:
            return []
        parts.append(ahead[:length])
        start += length
    return parts


def _length(text: str, fits: Callable[[str], bool]) -> int:
    """How many characters the first part has."""
    longest = _last(len(text), fits, text)
    for border in _BORDERS:
        places = [m.end() for m in border.finditer(text, endpos=longest)]
        while places and not fits(text[: places[-1]]):  # a shorter text may take a token more
            places.pop()
        if places and 2 * places[-1] >= longest:
            return places[-1]
    return longest


def _last(high: int, fits: Callable[[str], bool], text: str) -> int:
    """The most characters, of at most `high`, that fit; 0: not even one."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if fits(text[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
