"""What tells by itself whom or what an example is about: a full name, an address, an e-mail address, a long number.

A full name of a question or document is found by `full_names`; one that the document is not about is an "other name".
A number is a phone number or an identification: 7 digits or more, or 6 in one piece; or letters with at least 4 digits.
Dates, years, amounts and postal codes tell nothing by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.example import Example
from forgetting.data.addresses import abbreviated, addresses
from forgetting.data.full_names import FullNames
from forgetting.data.name_phrases import tokens_of
from forgetting.data.row_words import Words

What = Literal["name", "other name", "address", "e-mail", "number"]

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DATE = re.compile(r"(?<!\d)(?:\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}([./-])\d{1,2}\2\d{1,2})(?!\d)")
_YEARS = re.compile(r"(?<!\d)(?:1\d|20)\d\d ?[-–/] ?(?:1\d|20)\d\d(?!\d)")
_AMOUNT = re.compile(
    r"(?<![\d.,])\d{1,3}(?:[.,]\d{3})+(?:[.,]\d{1,2})?(?!\d)"
    r"|(?<![\w+-])(?<!\d[ \u00a0])(?:[1-9]\d{0,2}(?:[ \u00a0]\d{3})*[ \u00a0]000|[1-9]\d*000)(?!\d|[ -]\d)"
)
"""Thousands with separators; a number of thousands that does not stand among other groups of digits."""
_RUN = re.compile(r"\d(?:(?: ?[-./–] ?|[ \u00a0]|\)[ -]?| ?\()?\d)*")
_CODE = re.compile(r"(?<![^\W_])(?:([A-Z]{2,5})[ .:]{1,2})?((?:[^\W_]+[-/_.#])*[^\W_]*\d[^\W_]*(?:[-/_.][^\W_]+)*)")
_WITH_UNIT = re.compile(r"\d+[^\W\d_]{1,3}")
_TWO_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "Å": "Aa", "Ø": "Oe"}
)
_LEAST_DIGITS, _LEAST_PIECE, _LEAST_CODE = 7, 6, 4


@dataclass(frozen=True)
class Identifier:
    """A name, an address or a number in the forms that it is looked for in."""

    what: What
    said: str
    keys: frozenset[str]
    """Its letters and digits in one, as `row_words` compares them."""
    initials: frozenset[str] = frozenset()
    """Likewise with a first name's initial, which must be a capital where it is found."""
    digits: str = ""
    """Of a phone number or an identification: its digits."""


def identifiers(examples: Sequence[Example]) -> list[list[Identifier]]:
    """The identifiers of each example.

    Addresses and numbers of a question and of its answer; names of a document, of a question, and of an answer if a
    question or document names them too: an answer's name may be a country, whose mention tells nothing.
    """
    names = FullNames(examples)
    found = []
    for example in examples:
        said: dict[Identifier, None] = {}
        for text in (example.prompt, example.response):
            tokens = tokens_of(text)
            said |= dict.fromkeys((*_mails(text), *_numbers(text), *map(_address, addresses(text, tokens))))
            for words in names.of(tokens):
                key = " ".join(words)
                said[_name(words, key, "name" if key in names.subjects else "other name")] = None
        found.append(list(said))
    return found


def given(text: str) -> list[Identifier]:
    """What a user says to look for: a name in all its forms, or a number or an address.

    Caution: one of a single word is looked for as it is.
    """
    numbers = [*_mails(text), *_numbers(text)]
    return numbers or [_name(Words.of(text).raw, text)]


def _key(text: str) -> str:
    return "".join(Words.of(text).plain)


def _spelled(text: str) -> str:
    """The key with umlauts written as two letters: Müller, Mueller."""
    return _key(text.translate(_TWO_LETTERS))


def _name(words: Sequence[str], said: str, what: What = "name") -> Identifier:
    """A name: also the last word first, without middle names, with the first name's initial."""
    parts = [w for w in words if len(w) > 1] or list(words)
    first, last = parts[0], parts[-1]
    forms = {tuple(words), tuple(parts)}
    initials: set[tuple[str, ...]] = set()
    if len(parts) > 1:
        forms |= {(first, last), (last, *parts[:-1]), (last, first), *((p, last) for p in parts[:1])}
        initials = {(first[0], last), (last, first[0]), (first[0], *parts[1:])}
    keys = {spell("\u2060 ".join(form)) for form in forms for spell in (_key, _spelled)}
    short = {spell("\u2060 ".join(form)) for form in initials for spell in (_key, _spelled)}
    return Identifier(what, said, frozenset(keys), frozenset(short))


def _mails(text: str) -> Iterator[Identifier]:
    for match in _MAIL.finditer(text):
        mail = match.group().rstrip(".")
        local, _, domain = mail.partition("@")
        keys = {_key(mail), _key(f"{local} at {domain}"), _key(f"{local} at {domain.replace('.', ' dot ')}")}
        yield Identifier("e-mail", mail, frozenset(keys))


def _numbers(text: str) -> Iterator[Identifier]:
    for what in (_MAIL, _DATE, _YEARS, _AMOUNT):
        text = what.sub(" ; ", text)
    for match in _RUN.finditer(text):
        digits = only_digits(match.group())
        if len(digits) >= _LEAST_DIGITS:
            yield Identifier("number", match.group(), frozenset({digits}), digits=digits)
    text = _RUN.sub(lambda m: " ; " if len(only_digits(m.group())) >= _LEAST_DIGITS else m.group(), text)
    for match in _CODE.finditer(text):
        letters, code = match.groups()
        size = sum(c.isdigit() for c in code)
        if size < _LEAST_CODE or _WITH_UNIT.fullmatch(code):
            continue
        keys = {_key(code)} if any(c.isalpha() for c in code) else set()
        piece = max(re.findall(r"\d+", code), key=len)
        if len(piece) >= _LEAST_PIECE and not piece.endswith("000"):
            keys.add(_key(piece))
        if letters and not (size == _LEAST_CODE and code[:2] in ("19", "20")):
            keys.add(_key(letters + code))
        if keys:
            yield Identifier("number", match.group(), frozenset(keys))


def only_digits(text: str) -> str:
    """The digits of a text, of any script, as ASCII."""
    return "".join(str(int(c)) for c in text if c.isdecimal())


def _address(words: Sequence[str]) -> Identifier:
    keys = {spell(" ".join(form)) for form in (words, abbreviated(words)) for spell in (_key, _spelled)}
    return Identifier("address", " ".join(words), frozenset(keys))
