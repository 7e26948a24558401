"""Names and numbers in texts: what is written with a capital inside a sentence, and what holds a digit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from forgetting.data.word_lists import ABBREVIATED, CALENDAR, FUNCTION_WORDS, PARTICLES

Phrase = tuple[str, ...]
"""Words, one after the other."""
_TOKEN = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*")
_ENDS = re.compile(r"[.!?…:;\"“”«»(\[]|\n")
"""Between two words: the second one may have a capital for where it stands."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word as it is written, and what stands before it."""

    text: str
    gap: str
    opens: bool
    """Whether a sentence, a line or a part in brackets or quotes begins with it."""

    @property
    def is_name(self) -> bool:
        """Whether it begins with a capital and is not only one letter, a small word, a month or a weekday."""
        small = self.text.lower()
        capital = self.text[:1].isupper() and len(self.text) > 1
        return capital and small not in FUNCTION_WORDS and small not in CALENDAR

    @property
    def is_number(self) -> bool:
        """Whether it holds a digit."""
        return any(c.isdigit() for c in self.text)


@dataclass(frozen=True, slots=True)
class Name:
    """Words with a capital that follow each other, and their neighbours in the text (None: there is none)."""

    tokens: tuple[Token, ...]
    before: Token | None
    after: Token | None

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(t.text for t in self.tokens)


def tokens_of(text: str) -> list[Token]:
    """The words of a text; letters with accents are single characters in them."""
    text = unicodedata.normalize("NFC", text)
    found: list[Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()]
        end = match.end()
        after_short = bool(found) and gap.strip(" ") == "." and found[-1].text.lower() in ABBREVIATED
        found.append(Token(match.group(), gap, not found or (not after_short and bool(_ENDS.search(gap)))))
    return found


def names_of(tokens: Sequence[Token]) -> Iterator[Name]:
    """The names among words, in their order.

    Only spaces stand inside a name; a point after one letter or a title (J. Dr.); or, after its first word, the end of
    a line.
    """
    start = 0
    while start < len(tokens):
        if not tokens[start].is_name:
            start += 1
            continue
        stop = start + 1
        while (more := _continued(tokens, start, stop)) > stop:
            stop = more
        before = tokens[start - 1] if start else None
        yield Name(tuple(tokens[start:stop]), before, tokens[stop] if stop < len(tokens) else None)
        start = stop


def _continued(tokens: Sequence[Token], start: int, stop: int) -> int:
    """The end of a name that reaches up to `stop`, with one more word if it goes on."""
    last = stop
    while last < len(tokens) and last - stop < 2 and _joins(tokens[last - 1], tokens[last], last - start):
        token = tokens[last]
        if token.is_name:
            return last + 1
        if not (token.text in PARTICLES or (len(token.text) == 1 and token.text.isupper())):
            return stop
        last += 1
    return stop


def _joins(first: Token, second: Token, length: int) -> bool:
    gap = second.gap
    if gap.strip(" \u00a0") == ".":
        return len(first.text) == 1 or first.text.lower() in ABBREVIATED
    return not gap.strip() and gap.count("\n") <= (length == 1)


def name_phrases(
    texts: Sequence[tuple[str, str]], words: Callable[[str], Phrase]
) -> list[tuple[list[Phrase], list[Phrase]]]:
    """Of each pair of texts the names and numbers in both, as the words that `words` makes of them.

    Words with a capital that follow each other are one name. The first word of a sentence has a capital in any case: it
    belongs to a name only if it also occurs inside a sentence with one, and nowhere without. Numbers have 3 characters
    at least.
    """
    pairs = [(tokens_of(prompt), tokens_of(response)) for prompt, response in texts]
    flat = [token for pair in pairs for text in pair for token in text]
    inside = {t.text for t in flat if not t.opens and t.is_name}
    small = {t.text for t in flat if t.text[:1].islower()}
    first = {t.text for t in flat if t.opens and (t.text.lower() in small or t.text not in inside)}

    def of(tokens: list[Token]) -> list[Phrase]:
        said = []
        for name in names_of(tokens):
            begins = name.tokens[0].opens and name.tokens[0].text in first and not name.tokens[0].is_number
            said.append(" ".join(t.text for t in name.tokens[begins:]))
        said += [t.text for t in tokens if t.is_number and not t.is_name and len(t.text) > 2]
        return [phrase for one in said if (phrase := words(one))]

    return [(of(prompt), of(response)) for prompt, response in pairs]
