"""Rows of any kind as text, and text as words with their places (`forgetting.data.words` says what a word is)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from forgetting.data.source import COLUMNS
from forgetting.data.words import WORD, plain_word

_SHOWN = 200
_BODY = frozenset(name for what in ("prompt", "response", "text", "messages") for name in COLUMNS[what])


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, and the position of each."""

    text: str
    plain: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """The words of a text."""
        matches = list(WORD.finditer(text))
        return cls(text, tuple(plain_word(m.group()) for m in matches), tuple(m.span() for m in matches))

    def said(self, first: int, stop: int) -> str:
        """The text from word `first` up to word `stop`, excluded."""
        return " ".join(self.text[self.spans[first][0] : self.spans[stop - 1][1]].split())[:_SHOWN]


def row_counts(texts: Iterable[str], vocabulary: frozenset[str]) -> tuple[dict[str, int], int]:
    """In how many of the texts each word of a vocabulary occurs, and the number of texts."""
    counts: Counter[str] = Counter()
    rows = 0
    for text in texts:
        counts.update(vocabulary.intersection(Words.of(text).plain))
        rows += 1
    return dict(counts), rows


def row_text(row: Mapping[str, object]) -> str:
    """All texts of a row, a line each, in their order; what is not text is left out."""
    return "\n".join(_texts(row))


def row_body(row: Mapping[str, object]) -> str | None:
    """The non-empty texts of a row: its prompt, response, text or messages; None: its columns name none."""
    return "\n".join(_texts({name: value for name, value in row.items() if name in _BODY})) or None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
