"""Rows of any kind as text, and text as words, with their places, in which spelling matters little.

`forgetting.data.words` says what a word is; here, in addition, accents and what has no width are not seen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import regex

from forgetting.data.source import COLUMNS
from forgetting.data.words import CHARACTER, LETTERS, plain_word

_SHOWN = 200
_BODY = frozenset(name for what in ("prompt", "response", "text", "messages") for name in COLUMNS[what])
_UNSEEN = "\u00ad\u200b-\u200d\u2060\ufeff"
"""Soft hyphens and what has no width stand inside words."""
_LINE_HYPHEN = r"[-\u2010]\r?\n[ \t]*(?=[^\W\d_])"
_LETTERS_APART = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th"})
"""Letters that are written with a plain one where a keyboard lacks them, and that do not decompose."""


_WORD = regex.compile(rf"{CHARACTER}|{LETTERS}(?:{_LINE_HYPHEN}{LETTERS})*", regex.V1)
_ASCII_WORD = re.compile(f"[A-Za-z0-9]+(?:{_LINE_HYPHEN}[A-Za-z0-9]+)*")
"""The same for texts of ASCII, several times as fast."""
_BREAK = re.compile(f"{_LINE_HYPHEN}|[{_UNSEEN}]")


def _pattern(text: str) -> Any:
    return _ASCII_WORD if text.isascii() else _WORD


@lru_cache(maxsize=100_000)
def bare_word(word: str) -> str:
    """A plain word without accents and without a hyphen at the end of a line.

    Accents and vowel points are left out where they are often not written: of Latin, Greek, Cyrillic, Hebrew and
    Arabic letters. Marks of other scripts stay.
    """
    word = _BREAK.sub("", word)
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", plain_word(word)).translate(_LETTERS_APART)
    kept = "".join(c for c in apart if not _is_left_out(ord(c)))
    return unicodedata.normalize("NFC", kept) or word


def _is_left_out(code: int) -> bool:
    return 0x300 <= code <= 0x36F or 0x591 <= code <= 0x5C7 or 0x64B <= code <= 0x652 or code in (0x640, 0x670)


@dataclass(frozen=True)
class Words:
    """The words of a text, as they are compared (`plain`)."""

    text: str
    plain: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """The words of a text. One that a hyphen divides at the end of a line is one word."""
        if text.isascii() and not _BREAK.search(text):
            return cls(text, tuple(_ASCII_WORD.findall(text.lower())))
        return cls(text, tuple(map(bare_word, _pattern(text).findall(text))))

    @cached_property
    def raw(self) -> tuple[str, ...]:
        """The words as they stand there."""
        return tuple(_pattern(self.text).findall(self.text))

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The position of each word in the text."""
        return tuple(m.span() for m in _pattern(self.text).finditer(self.text))

    def said(self, first: int, stop: int) -> str:
        """The text from word `first` up to word `stop`, excluded."""
        return " ".join(self.text[self.spans[first][0] : self.spans[stop - 1][1]].split())[:_SHOWN]


def row_text(row: Mapping[str, object]) -> str:
    """All texts and numbers of a row, a line each, in their order."""
    return "\n".join(text for _, text in row_texts(row))


def row_body(row: Mapping[str, object]) -> str | None:
    """The non-empty texts of a row: its prompt, response, text or messages; None: its columns name none."""
    return row_text({name: value for name, value in row.items() if name in _BODY}) or None


def row_texts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """(`column`, text) of each text and whole number in a row; inner ones as `messages[1].content`."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from row_texts(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from row_texts(inner, f"{name}[{number}]")
