"""Whole copies, near duplicates and shared passages of many texts in other ones, by their words.

Passages and shingles are kept as 64-bit hashes in sorted arrays, 12 bytes each, so that a large set of texts can be
looked for; what a hash finds is compared word by word. Near duplicates are found by prefix filtering (Chaudhuri, Ganti
and Kaushik 2006): two sets whose Jaccard index is at least t share one of the rarest |A| - ⌈t|A|⌉ + 1 members of each.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetting.data.name_phrases import Phrase

NEAR, PASSAGE, SHINGLE = 0.8, 8, 3
PHRASING = 2
"""Words in a row of more groups of texts are their phrasing, and no evidence."""
_PHRASE, _OWN = 4, 6
"""A passage needs 6 words outside of phrases: of 4 words in a row that many groups of texts, or many rows, hold."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_LEAST_COPY = 4
"""A text of fewer words is no copy of anything."""


class Copies:
    """Looks for texts in rows.

    Args:
        texts: (prompt, response) as words; both may be empty.
        groups: what each text belongs to.
    """

    def __init__(self, texts: Sequence[tuple[Phrase, Phrase]], groups: Sequence[str]) -> None:
        self._texts = texts
        self._openings: defaultdict[Phrase, list[int]] = defaultdict(list)
        for index, (prompt, response) in enumerate(texts):
            if len(prompt + response) >= _LEAST_COPY:
                self._openings[(prompt or response)[:_LEAST_COPY]].append(index)
        self._sizes = sorted({len(opening) for opening in self._openings})
        self._first_words = {opening[0] for opening in self._openings}
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._passages = _Postings(np.unique(_hashes(response, PASSAGE)) for _, response in texts)
        self._phrases = _shared_by_groups(texts, [numbers[group] for group in groups])
        self._near = NearSets(len(texts), lambda index: _shingles(texts[index][0] + texts[index][1]))

    def whole(self, words: Phrase) -> Iterator[tuple[int, int, int]]:
        """(text, first word, the one behind) of each text that occurs whole; prompt and response may stand apart."""
        padded = ""
        for place, word in enumerate(words):
            if word not in self._first_words:
                continue
            for size in self._sizes:
                for index in self._openings.get(words[place : place + size], ()):
                    first, *others = (part for part in self._texts[index] if part)
                    if min(len(first), _LEAST_COPY) != size or words[place : place + len(first)] != first:
                        continue
                    padded = padded or f" {' '.join(words)} "
                    if all(f" {' '.join(part)} " in padded for part in others):
                        yield index, place, place + len(first)

    def near(self, words: Phrase) -> Iterator[tuple[int, float]]:
        """(text, Jaccard index of the word 3-shingles) of each text that a row nearly repeats."""
        return self._near.find(_shingles(words))

    def passages(self, words: Phrase) -> Iterator[tuple[int, int, int]]:
        """(text, first word, the one behind) of the longest passage of 8 words or more that each text shares."""
        runs: dict[int, list[int]] = {}
        longest: dict[int, tuple[int, int]] = {}
        for place, index in self._passages.find(_hashes(words, PASSAGE)):
            run = runs.get(index)
            if run is None or run[1] != place - 1:
                run = runs[index] = [place, place]
            run[1] = place
            start, stop = longest.get(index, (0, 0))
            if place + PASSAGE - run[0] > stop - start:
                longest[index] = (run[0], place + PASSAGE)
        for index, (start, stop) in longest.items():
            if f" {' '.join(words[start : start + PASSAGE])} " in f" {' '.join(self._texts[index][1])} ":
                yield index, start, stop

    def phrases(self, words: Phrase) -> list[int]:
        """The phrases of the texts that a row holds, as hashes, each once: to be counted over a source."""
        hashes = _hashes(words, _PHRASE)
        return np.unique(hashes[_are_in(hashes, self._phrases.hashes)]).tolist()

    def is_phrasing(self, passage: Phrase, is_usual: Callable[[int], bool]) -> bool:
        """Whether a passage is made of phrases that many groups of texts share, or that are usual in a source.

        Args:
            is_usual: whether a phrase, by its hash, is.
        """
        covered = [False] * len(passage)
        for start, phrase in enumerate(_hashes(passage, _PHRASE).tolist()):
            if self._phrases.is_shared(phrase) or is_usual(phrase):
                covered[start : start + _PHRASE] = [True] * _PHRASE
        return len(passage) - sum(covered) < _OWN


def _hashes(words: Phrase, length: int) -> NDArray[np.int64]:
    """A hash of each so many words in a row: a polynomial of the words' own hashes, modulo 2^64."""
    own = np.fromiter(map(hash, words), dtype=np.int64, count=len(words)).view(np.uint64)
    places = len(words) - length + 1
    if places < 1:
        return np.zeros(0, dtype=np.int64)
    found = np.zeros(places, dtype=np.uint64)
    for place in range(length):
        found = (found ^ (found >> np.uint64(29))) * _FACTOR + own[place : place + places]
    return found.view(np.int64)


def _shingles(words: Phrase) -> NDArray[np.int64]:
    """Their hashes, each once; a text of fewer words is one, and one without words has none."""
    return np.unique(_hashes(words, min(SHINGLE, max(1, len(words)))))


def _are_in(asked: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each hash whether it is among sorted ones."""
    if not len(known):
        return np.zeros(len(asked), dtype=bool)
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return known[places] == asked


@dataclass(frozen=True)
class _Phrases:
    """The 4 words in a row of texts: sorted hashes, and whether more groups of texts share them than are counted."""

    hashes: NDArray[np.int64]
    shared: NDArray[np.bool_]

    def is_shared(self, phrase: int) -> bool:
        place = int(np.searchsorted(self.hashes, phrase))
        return place < len(self.hashes) and self.hashes[place] == phrase and bool(self.shared[place])


def _shared_by_groups(texts: Sequence[tuple[Phrase, Phrase]], groups: Sequence[int]) -> _Phrases:
    every = [np.unique(_hashes(response, _PHRASE)) for _, response in texts]
    hashes = np.concatenate([np.zeros(0, np.int64), *every])
    owners = np.repeat(np.array(groups, dtype=np.int32), [len(own) for own in every])
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    first = np.r_[True, (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])][: len(hashes)]
    unique, counts = np.unique(hashes[first], return_counts=True)
    return _Phrases(unique, counts > PHRASING)


class _Postings:
    """Which texts hold a hash: sorted hashes with the number of a text beside each."""

    def __init__(self, found: Iterable[NDArray[np.int64]]) -> None:
        every = list(found)
        hashes = np.concatenate([np.zeros(0, np.int64), *every])
        texts = np.repeat(np.arange(len(every), dtype=np.int32), [len(own) for own in every])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._texts = hashes[order], texts[order]

    def find(self, asked: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """(place in `asked`, text) of each hash that is held."""
        for place in np.flatnonzero(_are_in(asked, self._hashes)).tolist():
            begin, end = (int(np.searchsorted(self._hashes, asked[place], side)) for side in ("left", "right"))
            for text in self._texts[begin:end].tolist():
                yield place, text


class NearSets:
    """Finds which of many sets of hashes another one nearly equals.

    Args:
        count: how many sets there are.
        set_of: the sorted members of one of them; asked for again where it is compared, so that none is held.
        bound: the Jaccard index from which on two sets are near.
    """

    def __init__(self, count: int, set_of: Callable[[int], NDArray[np.int64]], bound: float = NEAR) -> None:
        self._set_of, self._bound = set_of, bound
        every = [np.zeros(0, np.int64), *map(set_of, range(count))]
        self._known, self._counts = np.unique(np.concatenate(every), return_counts=True)
        self._postings = _Postings(map(self._prefix, every[1:]))

    def _prefix(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """The members of which one is shared with any set that is near: the rarest; those of no set come first."""
        if not len(self._known) or not len(members):
            return members[:0]
        places = np.minimum(np.searchsorted(self._known, members), len(self._known) - 1)
        counts = np.where(self._known[places] == members, self._counts[places], 0)
        size = len(members) - math.ceil(self._bound * len(members) - 1e-9) + 1
        first = np.lexsort((members, counts))[:size]
        return members[first[counts[first] > 0]]

    def find(self, own: NDArray[np.int64]) -> Iterator[tuple[int, float]]:
        """(number, Jaccard index) of each set that is near."""
        for index in dict.fromkeys(index for _, index in self._postings.find(self._prefix(own))):
            theirs = self._set_of(index)
            shared = len(np.intersect1d(own, theirs, assume_unique=True))
            score = shared / (len(own) + len(theirs) - shared)
            if score >= self._bound:
                yield index, score
