"""Where the forget set also occurs in other data: copies, near duplicates, shared passages, and mentions of facts.

Texts are compared as words: runs of letters and digits, case and width ignored; in a script without spaces, such as
Chinese or Thai, each character (`forgetting.data.words`). A row of the searched data is its texts in their order,
whatever its columns are called.

    copy      a document, or a question and its answer, occurs whole
    near      the Jaccard index of the word 3-shingles of row and example is at least 0.8
    passage   8 consecutive words of a document or answer occur
    mention   the fact in other words: subject and answer occur within 60 words

A passage that occurs in more than two groups of the forget set is its phrasing, and no evidence; one of less than 13
words must hold a name or a word that is rare in the searched data. What is asked of: the names and numbers of a
question; if it has none, its words that are rare both in the forget set and in the searched data. What is answered: an
answer of at most 5 words itself; of a longer one its names and numbers that the question lacks. A document is mentioned
where three different names or numbers of it occur within 60 words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.duplicates import jaccard, shingles
from forgetting.data.name_phrases import FUNCTION_WORDS, Phrase, name_phrases
from forgetting.data.row_words import Words

How = Literal["copy", "near", "passage", "mention"]
KINDS: tuple[How, ...] = ("copy", "near", "passage", "mention")
NEAR, PASSAGE, WINDOW, SHORT = 0.8, 8, 60, 5
_PHRASING = 2
_LEAST_COPY = 4
"""A text of fewer words is no copy of anything."""
_NAMES_OF_A_DOCUMENT = 3
_LONG_PASSAGE = 13
"""Words from which on a passage tells by itself; a shorter one must hold a name of its example, or a rare word."""
_NEIGHBOURS = 4
_LEAST_RARE, _RARE_SHARE = 3, 0.005


@dataclass(frozen=True, slots=True)
class Found:
    """One example of the forget set, or a part of it, in a row of other data."""

    kind: How
    example: Example
    text: str
    """The matching words, as in the row, 200 characters at most."""
    score: float
    """Of `near` the Jaccard index; of `passage` the words of the longest one; else 1."""


@dataclass(frozen=True, slots=True)
class _Fact:
    """The words of an example that make a mention."""

    subjects: frozenset[Phrase]
    """The subject of the question; of a document its names."""
    objects: frozenset[Phrase]
    """The answer; of a document nothing."""


class Finder:
    """Looks for the examples of a forget set in rows of other data. Memory: the forget set's, not the data's.

    Args:
        forget: what is to be forgotten.
        counts: in how many rows of the searched data each word occurs (`row_counts`), and how many rows there are;
            None: a word is rare by the forget set alone.
    """

    def __init__(self, forget: Sequence[Example], counts: tuple[Mapping[str, int], int] | None = None) -> None:
        tokens = next((e for e in forget if e.form == "tokens"), None)
        if tokens is not None:
            raise DataError(f"{tokens.where or tokens.id}: is token ids, which have no words; give the text")
        self._forget = list(forget)
        self._texts = [(Words.of(e.prompt).plain, Words.of(e.response).plain) for e in forget]
        self._counts, self._rows = counts or ({}, 0)
        self._openings: defaultdict[str, list[int]] = defaultdict(list)
        for index, (prompt, response) in enumerate(self._texts):
            if len(prompt + response) >= _LEAST_COPY:
                self._openings[(prompt or response)[0]].append(index)
        self._passages = self._index_passages()
        self._shingles = [shingles(Example(id="", response=" ".join(p + r))) for p, r in self._texts]
        self._holders: defaultdict[str, list[int]] = defaultdict(list)
        for index, own in enumerate(self._shingles):
            for shingle in own:
                self._holders[shingle].append(index)
        self._prompts = Counter(word for prompt, _ in self._texts for word in set(prompt))
        self._names = name_phrases([(e.prompt, e.response) for e in forget], lambda text: Words.of(text).plain)
        self._facts = [
            self._fact(*text, set(asked), set(told))
            for text, (asked, told) in zip(self._texts, self._names, strict=True)
        ]
        self._users: defaultdict[Phrase, list[int]] = defaultdict(list)
        for index, fact in enumerate(self._facts):
            for phrase in fact.subjects | fact.objects if fact is not None else ():
                self._users[phrase].append(index)
        self._by_first: defaultdict[str, list[Phrase]] = defaultdict(list)
        for phrase in self._users:
            self._by_first[phrase[0]].append(phrase)

    @property
    def without_mentions(self) -> int:
        """How many examples have nothing that tells them apart, so that no mention of them can be found."""
        return sum(fact is None for fact in self._facts)

    def find(self, text: str, body: str | None = None) -> list[Found]:
        """The forget examples that occur in a text, in the order of the set; of each example the strongest kind.

        Args:
            text: all texts of a row.
            body: those of them that may nearly repeat an example: without a source, a category, …; None: all.
        """
        words = Words.of(text)
        hits: tuple[tuple[How, Iterable[tuple[int, str, float]]], ...] = (
            ("copy", self._copied(words)),
            ("near", self._near(words if body is None or body == text else Words.of(body))),
            ("passage", self._shared(words)),
            ("mention", self._mentioned(words)),
        )
        best: dict[int, Found] = {}
        for kind, some in hits:
            for index, said, score in some:
                best.setdefault(index, Found(kind, self._forget[index], said, score))
        return [best[index] for index in sorted(best)]

    def _copied(self, words: Words) -> Iterator[tuple[int, str, float]]:
        padded = ""
        for place, word in enumerate(words.plain):
            for index in self._openings.get(word, ()):
                first, *others = (part for part in self._texts[index] if part)
                stop = place + len(first)
                if words.plain[place:stop] != first:
                    continue
                padded = padded or f" {' '.join(words.plain)} "
                if all(f" {' '.join(part)} " in padded for part in others):
                    yield index, words.said(place, stop), 1.0

    def _index_passages(self) -> dict[Phrase, list[int]]:
        found: defaultdict[Phrase, list[int]] = defaultdict(list)
        for index, (_, response) in enumerate(self._texts):
            for gram in {response[i : i + PASSAGE] for i in range(len(response) - PASSAGE + 1)}:
                found[gram].append(index)
        groups = [e.cluster for e in self._forget]
        return {gram: some for gram, some in found.items() if len({groups[i] for i in some}) <= _PHRASING}

    def _shared(self, words: Words) -> Iterator[tuple[int, str, float]]:
        """The longest passage that each example shares with the row."""
        runs: dict[int, list[int]] = {}
        longest: dict[int, tuple[int, int]] = {}
        for place in range(len(words.plain) - PASSAGE + 1):
            for index in self._passages.get(words.plain[place : place + PASSAGE], ()):
                run = runs.get(index)
                if run is None or run[1] != place - 1:
                    run = runs[index] = [place, place]
                run[1] = place
                start, stop = longest.get(index, (0, 0))
                if place + PASSAGE - run[0] > stop - start:
                    longest[index] = (run[0], place + PASSAGE)
        for index, (start, stop) in longest.items():
            if stop - start < _LONG_PASSAGE and not self._telling(index, words.plain[start:stop]):
                continue
            yield index, words.said(start, stop), float(stop - start)

    def _telling(self, index: int, passage: Phrase) -> bool:
        names = {word for name in self._names[index][1] for word in name}
        return any(w in names or (w not in FUNCTION_WORDS and self._is_rare(w)) for w in passage)

    def _near(self, words: Words) -> Iterator[tuple[int, str, float]]:
        if not words.plain:
            return
        own = shingles(Example(id="", response=" ".join(words.plain)))
        shared = Counter(index for shingle in own for index in self._holders.get(shingle, ()))
        for index, count in shared.items():
            if count >= NEAR * max(len(own), len(self._shingles[index])):  # what the index needs at least
                score = jaccard(own, self._shingles[index])
                if score >= NEAR:
                    yield index, words.said(0, len(words.plain)), score

    def _mentioned(self, words: Words) -> Iterator[tuple[int, str, float]]:
        places: defaultdict[Phrase, list[int]] = defaultdict(list)
        for place, word in enumerate(words.plain):
            for phrase in self._by_first.get(word, ()):
                if words.plain[place : place + len(phrase)] == phrase:
                    places[phrase].append(place)
        for index in {index for phrase in places for index in self._users[phrase]}:
            fact = self._facts[index]
            assert fact is not None
            near = _together(fact, places)
            if near is not None:
                yield index, words.said(*near), 1.0

    def _fact(self, prompt: Phrase, response: Phrase, asked: set[Phrase], told: set[Phrase]) -> _Fact | None:
        if not prompt:
            rare = {phrase for phrase in told if len(phrase) > 1 or self._is_rare(phrase[0])}
            return _Fact(frozenset(rare), frozenset()) if len(rare) >= _NAMES_OF_A_DOCUMENT else None
        subjects = asked or {(w,) for w in prompt if self._tells(w)}
        objects = {phrase for phrase in told if not set(prompt).issuperset(phrase)}
        if len(response) <= SHORT and not (objects and set(prompt) & set(response)):
            objects = {response} if any(len(w) > 2 and w not in FUNCTION_WORDS for w in response) else set()
        return _Fact(frozenset(subjects), frozenset(objects)) if subjects and objects else None

    def _tells(self, word: str) -> bool:
        """Whether a word without a capital tells what a question is about."""
        common = self._prompts[word] > max(_LEAST_RARE, 0.05 * len(self._forget))
        return len(word) > 3 and word not in FUNCTION_WORDS and not common and self._is_rare(word)

    def _is_rare(self, word: str) -> bool:
        return self._counts.get(word, 0) <= max(_LEAST_RARE, _RARE_SHARE * self._rows)

    @property
    def vocabulary(self) -> frozenset[str]:
        """The words whose rarity matters."""
        return frozenset(w for prompt, response in self._texts for w in (*prompt, *response))


def _together(fact: _Fact, places: Mapping[Phrase, Sequence[int]]) -> tuple[int, int] | None:
    """The first word of a mention and the one behind it, or None."""
    if not fact.objects:
        return _several(fact.subjects, places)
    subjects = _marks(fact.subjects, places)
    starts = [start for start, _ in subjects]
    for start, stop in _marks(fact.objects, places):
        here = bisect_left(starts, start)
        around = subjects[max(0, here - _NEIGHBOURS) : here + _NEIGHBOURS]
        apart = [(min(start, s), max(stop, e)) for s, e in around if e <= start or s >= stop]
        nearest = min(apart, key=lambda span: span[1] - span[0], default=None)
        if nearest is not None and nearest[1] - nearest[0] <= WINDOW:
            return nearest
    return None


def _marks(phrases: Iterable[Phrase], places: Mapping[Phrase, Sequence[int]]) -> list[tuple[int, int]]:
    return sorted((place, place + len(phrase)) for phrase in phrases for place in places.get(phrase, ()))


def _several(names: Iterable[Phrase], places: Mapping[Phrase, Sequence[int]]) -> tuple[int, int] | None:
    """The first place where enough different names occur together."""
    last: dict[Phrase, int] = {}
    for place, name in sorted((place, one) for one in names for place in places.get(one, ())):
        last[name] = place
        recent = sorted(last.values())[-_NAMES_OF_A_DOCUMENT:]
        if len(recent) == _NAMES_OF_A_DOCUMENT and place + len(name) - recent[0] <= WINDOW:
            return recent[0], place + len(name)
    return None
