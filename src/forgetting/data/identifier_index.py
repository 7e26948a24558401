"""Looks for many identifiers in a text at once, however their parts are divided.

Names, addresses and codes are compared as their letters and digits in one, from a word's beginning to a word's end, so
that "WEISS, Anton", "Anton_Weiss.pdf", "AntonWeiss2021" and a name divided at the end of a line are found, and
"Weissenburg" is not. A word also begins where a capital follows a small letter, or a digit a letter. Numbers are
compared by their digits: with or without a country's code and leading zeros.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from forgetting.data.identifiers import Identifier, only_digits
from forgetting.data.row_words import Words, bare_word

Span = tuple[int, int]
"""The first word of a place and the one behind it."""
_MIXED = re.compile(r"[\dA-ZÀ-Þ](?:(?<=[a-zß-ÿ][A-ZÀ-Þ])|(?<=[^\W\d_]\d)|(?<=\d)(?=[^\W\d_]))")
"""A small letter before a capital, or a letter beside a digit. One set begins it, which the search is fast for."""
_PARTS = re.compile(r"\d+|[^\W\d_][^\d_]*")
_DIGITS = re.compile(r"\d(?:[\s().\-/–\u2011+]{0,3}\d)*")
_HEAD, _LONG_HEAD = 3, 6
_TAIL, _SAME = 7, 9


class IdentifierIndex:
    """Where identifiers stand in texts. Memory: that of their forms."""

    def __init__(self, wanted: Sequence[Identifier]) -> None:
        self._keys: defaultdict[str, list[int]] = defaultdict(list)
        self._initials: defaultdict[str, list[int]] = defaultdict(list)
        self._tails: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for number, one in enumerate(wanted):
            for key in one.keys:
                self._keys[key].append(number)
            for key in one.initials - one.keys:
                self._initials[key].append(number)
            digits = one.digits.lstrip("0")
            if len(digits) >= _TAIL:
                self._tails[digits[-_TAIL:]].append((digits, number))
        keys = [key for index in (self._keys, self._initials) for key in index if key]
        self._heads = {key[:_HEAD] for key in keys} | {key[:n] for key in keys for n in (1, 2)}
        self._long_heads = {key[:_LONG_HEAD] for key in keys}
        self._longest = max(map(len, keys), default=0)

    def find(self, words: Words) -> dict[int, Span]:
        """The number of each identifier in a text, and its first place there."""
        found: dict[int, Span] = {}
        for number, span in self._written(words):
            if number not in found or span < found[number]:
                found[number] = span
        if self._tails:
            for number, span in self._dialled(words):
                found.setdefault(number, span)
        return found

    def _written(self, words: Words) -> Iterator[tuple[int, Span]]:
        plain, raw, owners = _parts(words)
        heads, size = self._heads, len(plain)
        for start in [place for place, part in enumerate(plain) if part[:_HEAD] in heads]:
            first = plain[start]
            runs, stop = [(first, len(first) == 1)], start + 1
            while runs:
                for run, short in runs:
                    span = (owners[start], owners[stop - 1] + 1)
                    for number in self._keys.get(run, ()):
                        yield number, span
                    if short:
                        for number in self._initials.get(run, ()):
                            there = raw or words.raw
                            if _is_initial(there[start]) or _is_initial(there[stop - 1]):
                                yield number, span
                if stop == size:
                    break
                last = plain[stop]
                longer = [(run + last, short or len(last) == 1) for run, short in runs]
                if len(last) == 1 and len(runs) == 1 and _is_initial((raw or words.raw)[stop]):
                    longer.append(runs[0])  # a middle initial that the name lacks
                runs = [one for one in longer if len(one[0]) <= self._longest and self._may_go_on(one[0])]
                stop += 1

    def _may_go_on(self, run: str) -> bool:
        return run[:_LONG_HEAD] in self._long_heads if len(run) >= _LONG_HEAD else run[:_HEAD] in self._heads

    def _dialled(self, words: Words) -> Iterator[tuple[int, Span]]:
        for match in _DIGITS.finditer(words.text):
            if match.end() - match.start() < _TAIL:
                continue
            so_far = ""
            for group in re.finditer(r"\d+", match.group()):
                so_far += only_digits(group.group())
                there = so_far.lstrip("0")
                for digits, number in self._tails.get(there[-_TAIL:], ()) if len(there) >= _TAIL else ():
                    if there.endswith(digits) or digits.endswith(there) or _same_end(there, digits) >= _SAME:
                        yield number, _span(words, match.start(), match.start() + group.end())


def _same_end(first: str, second: str) -> int:
    same = 0
    while same < min(len(first), len(second)) and first[-1 - same] == second[-1 - same]:
        same += 1
    return same


def _span(words: Words, start: int, stop: int) -> Span:
    starts = [a for a, _ in words.spans]
    first = max(0, bisect_right(starts, start) - 1)
    return first, max(first + 1, bisect_left(starts, stop))


def _is_initial(raw: str) -> bool:
    return len(raw) == 1 and raw.isupper()


def _parts(words: Words) -> tuple[Sequence[str], Sequence[str] | None, Sequence[int]]:
    """The parts of the words, as they are compared and as they stand there, and the number of each one's word.

    What stands there is None where the parts are the words.
    """
    if not _MIXED.search(words.text):
        return words.plain, None, range(len(words.plain))
    plain: list[str] = []
    raw: list[str] = []
    owners: list[int] = []
    for number, word in enumerate(words.raw):
        parts = [word] if not _MIXED.search(word) else list(_divided(word))
        plain += [words.plain[number]] if len(parts) == 1 else map(bare_word, parts)
        raw += parts
        owners += [number] * len(parts)
    return plain, raw, owners


def _divided(word: str) -> Iterator[str]:
    """A word divided between letters and digits, and before a capital that follows a small letter."""
    for part in _PARTS.findall(word):
        start = 0
        for place in range(1, len(part)):
            if part[place].isupper() and part[place - 1].islower():
                yield part[start:place]
                start = place
        yield part[start:]
