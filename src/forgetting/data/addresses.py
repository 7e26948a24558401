"""Addresses in texts: a number beside a street."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from forgetting.data.name_phrases import Name, Token, names_of

_HOUSE = re.compile(r"\d{1,4}[a-zA-Z]?")
_STREET = re.compile(
    r"(?:street|st|road|rd|lane|ln|avenue|ave|drive|dr|square|sq|boulevard|blvd|court|ct|place|pl|row|way|close|hill|"
    r"terrace|crescent|\w*stra(?:ss|ß)e|\w+str|\w*weg|\w*gasse|\w*platz|\w*allee|\w*straat|\w*gatan|\w*vej)",
    re.IGNORECASE,
)
_SHORTER = {"street": "st", "road": "rd", "lane": "ln", "avenue": "ave", "drive": "dr", "square": "sq"}
_STREET_FIRST = re.compile(
    r"(?<!\d)(\d{1,4}[a-z]?),? "
    r"((?:rue|avenue|place|boulevard|chemin|via|viale|piazza|calle|ulica|ul\.)(?: \w{1,3})* [^\W\d_]+)"
)


def addresses(text: str, tokens: Sequence[Token]) -> Iterator[list[str]]:
    """The words of each address: a number and two words with a capital, or one that is a street's."""
    for name in names_of(tokens):
        house, after, words = house_before(name), name.after, [t.text for t in name.tokens]
        street = is_street(words[-1])
        if house is not None and (len(words) > 1 or street):
            yield [house, *words]
        elif street and after is not None and _HOUSE.fullmatch(after.text) and not after.gap.strip(" \u00a0"):
            yield [*words, after.text]
    for match in _STREET_FIRST.finditer(text):
        yield [match.group(1), match.group(2)]


def house_before(name: Name) -> str | None:
    """The number that a name follows, as a street does."""
    before = name.before
    beside = name.tokens[0].gap.strip(" \u00a0") in ("", ",")
    return before.text if before is not None and beside and _HOUSE.fullmatch(before.text) else None


def is_street(word: str) -> bool:
    """Whether it is the last word of a street's name."""
    return bool(_STREET.fullmatch(word))


def abbreviated(words: Sequence[str]) -> list[str]:
    """An address as it is written short: Mill Rd."""
    return [_SHORTER.get(w.lower(), re.sub("(?i)stra(?:ss|ß)e$", "str", w)) for w in words]
