"""What a word is, in any script: every text measure, search and comparison of this package asks here.

Between spaces stand the words of most scripts; Chinese, Japanese, Thai, Lao, Khmer and Burmese put none between them,
so there each character with its marks is a word. A mark (an accent, a vowel sign) belongs to the letter before it, so
that a text in composed (NFC) and in decomposed form (NFD) has the same words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import regex

_SPACELESS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]--[\p{Nd}]"
_JOINERS = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""Soft hyphens, joiners and what has no width: they stand inside of a word and are not seen."""
_MARKS = rf"\p{{M}}\uff9e\uff9f{_JOINERS}"
CHARACTER = rf"[[{_SPACELESS}]&&[\p{{L}}\p{{N}}]][{_MARKS}]*"
LETTERS = rf"[[\p{{L}}\p{{N}}]--[{_SPACELESS}]][[\p{{L}}\p{{N}}{_MARKS}]--[\p{{L}}&&[{_SPACELESS}]]]*"
WORD = regex.compile(rf"{CHARACTER}|{LETTERS}", regex.V1)
"""A run of letters, digits and their marks, or one character of a script without spaces."""
PIECE = regex.compile(rf"{CHARACTER}|[[^\s\x1c-\x1f]--[{_SPACELESS}]]+|[^\s\x1c-\x1f]", regex.V1)
"""What stands between spaces, cut further where a script puts none."""
_UNSPACED = regex.compile(rf"[{_SPACELESS}]", regex.V1)
_RUN = rf"[[\w\p{{N}}{_MARKS}]--[{_SPACELESS}]]+"
RUN = regex.compile(rf"{CHARACTER}|{_RUN}", regex.V1)
"""A run of letters, digits, marks and underscores, or one character of a script without spaces."""
PART = regex.compile(rf"{CHARACTER}|{_RUN}|\s+|.", regex.V1 | regex.DOTALL)
"""Runs, spaces and single signs: all of a text, one after the other."""
_OTHER = regex.compile(r"[[\p{L}\p{Nd}]--[\p{Latin}0-9\u00b5[\p{Lm}&&\p{Common}]]]|[\uff10-\uff5a]", regex.V1)
_DECIMAL = regex.compile(r"[[\p{Nd}]--[0-9]]", regex.V1)


def folded(text: str) -> str:
    """A text without case, and in composed form: two that a reader takes for one, but for case, are equal.

    Turkish İ is i, as its own lower case is; a dotless ı is another letter.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold().replace("i\u0307", "i"))


@lru_cache(maxsize=1 << 16)
def plain_word(word: str) -> str:
    """A word as words are compared: case, width and form ignored, every script's digits as 0-9."""
    if word.isascii():
        return word.lower()
    bare = unicodedata.normalize("NFKC", word).translate(dict.fromkeys(map(ord, _JOINERS)))
    return folded(_DECIMAL.sub(lambda digit: str(unicodedata.decimal(digit.group())), bare))


def words(text: str) -> list[str]:
    """The words of a text, as they are compared."""
    return [plain_word(match.group()) for match in WORD.finditer(text)]


def pieces(text: str) -> list[str]:
    """The text between spaces, cut further where a script puts none; `text.split()` for any other text."""
    return PIECE.findall(text) if _UNSPACED.search(text) else text.split()


def piece_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each of the `pieces` stands."""
    return (match.span() for match in PIECE.finditer(text))


def first_pieces(text: str, count: int) -> str:
    """The beginning of a text, so many pieces long, with single spaces where it has any."""
    spans = list(piece_spans(text))[:count]
    return " ".join(text[spans[0][0] : spans[-1][1]].split()) if spans else ""


def has_other_script(text: str) -> bool:
    """Whether any letter or digit of a text is neither Latin nor 0-9, or is of full width."""
    return not text.isascii() and _OTHER.search(text) is not None
