"""Facts in other words: what a question asks of beside its answer, or several names of one document."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from forgetting.core.example import Example
from forgetting.data.name_phrases import Phrase, name_phrases
from forgetting.data.row_words import Words
from forgetting.data.usage import Usage
from forgetting.data.word_lists import FUNCTION_WORDS

WINDOW, SHORT = 60, 5
_GROUPS_OF_A_NAME = 2
_NAMES_OF_A_DOCUMENT = 3
_BY_CHANCE, _PRIOR_ROWS = 0.01, 20
"""A document's names are a mention if fewer rows than this are expected to hold them all by chance, each name's share
of rows taken with so many more rows that lack it."""
_NEIGHBOURS = 4
_FEW = 3


@dataclass(frozen=True, slots=True)
class _Fact:
    """The words of an example that make a mention."""

    subjects: frozenset[Phrase]
    """The subject of the question; of a document its names."""
    objects: frozenset[Phrase]
    """The answer; of a document nothing."""


Names = Sequence[tuple[list[Phrase], list[Phrase]]]
"""Of each example the names and numbers of its question, and those of its answer or document."""


def names_in(examples: Sequence[Example]) -> Names:
    """The names and numbers of examples."""
    return name_phrases([(e.prompt, e.response) for e in examples], lambda text: Words.of(text).plain)


class Facts:
    """Looks for facts in rows.

    Args:
        texts: prompt and response of each example as words.
        names: their names and numbers.
        usage: how the searched source uses words: what is rare there tells.
    """

    def __init__(
        self, examples: Sequence[Example], texts: Sequence[tuple[Phrase, Phrase]], names: Names, usage: Usage
    ) -> None:
        self._examples = len(examples)
        self._usage = usage
        self._prompts = Counter(word for prompt, _ in texts for word in set(prompt))
        groups: defaultdict[Phrase, set[str]] = defaultdict(set)
        for example, (_, told) in zip(examples, names, strict=True):
            for name in told:
                groups[name].add(example.cluster)
        self._several_groups = {name for name, own in groups.items() if len(own) > _GROUPS_OF_A_NAME}
        self._facts = [self._fact(*t, set(asked), set(told)) for t, (asked, told) in zip(texts, names, strict=True)]
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        self._users = self._index()

    def __getitem__(self, index: int) -> _Fact | None:
        return self._facts[index]

    def _index(self) -> dict[Phrase, list[int]]:
        """Of each phrase the examples that are to be looked at where it occurs.

        A fact needs several of its phrases, so it is looked for by its rarer ones only: an answer that all examples
        share would else lead to all of them.
        """
        times = Counter(p for fact in self._facts if fact is not None for p in fact.subjects | fact.objects)
        users: defaultdict[Phrase, list[int]] = defaultdict(list, {phrase: [] for phrase in times})
        for phrase in times:
            self._lengths[phrase[0]].add(len(phrase))
        for index, fact in enumerate(self._facts):
            if fact is None:
                continue
            if fact.objects:
                chosen: Collection[Phrase] = min(
                    fact.subjects, fact.objects, key=lambda phrases: sum(times[p] for p in phrases)
                )
            else:
                chosen = sorted(fact.subjects, key=lambda p: (times[p], p))[: 1 - _NAMES_OF_A_DOCUMENT]
            for phrase in chosen:
                users[phrase].append(index)
        return dict(users)

    def find(self, words: Phrase) -> Iterator[tuple[int, int, int]]:
        """(example, first word, the one behind) of each fact that a row mentions."""
        places: defaultdict[Phrase, list[int]] = defaultdict(list)
        for place, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                phrase = words[place : place + length]
                if phrase in self._users:
                    places[phrase].append(place)
        for index in dict.fromkeys(index for phrase in places for index in self._users[phrase]):
            fact = self._facts[index]
            assert fact is not None
            near = _together(fact, places)
            if near is not None and (fact.objects or not self._is_chance(fact, places)):
                yield index, *near

    def _is_chance(self, fact: _Fact, places: Mapping[Phrase, Sequence[int]]) -> bool:
        """Whether some row is to be expected to hold these names of a document though it tells of others."""
        rows = self._usage.rows
        expected = float(rows)
        for name in fact.subjects.intersection(places):
            held = min(self._usage.words[word] for word in name)
            expected *= (held + 1) / (rows + _PRIOR_ROWS)
        return expected > _BY_CHANCE

    def _fact(self, prompt: Phrase, response: Phrase, asked: set[Phrase], told: set[Phrase]) -> _Fact | None:
        if not prompt:
            own = {name for name in told if name not in self._several_groups and not _is_number(name)}
            rare = frozenset(name for name in own if len(name) > 1 or self._usage.is_rare(name[0]))
            return _Fact(rare, frozenset()) if len(rare) >= _NAMES_OF_A_DOCUMENT else None
        subjects = asked or {(w,) for w in prompt if self._tells(w)}
        objects = {phrase for phrase in told if not set(prompt).issuperset(phrase)}
        if len(response) <= SHORT and not (objects and set(prompt) & set(response)):
            objects = {response} if any(len(w) > 2 and w not in FUNCTION_WORDS for w in response) else set()
        return _Fact(frozenset(subjects), frozenset(objects)) if subjects and objects else None

    def _tells(self, word: str) -> bool:
        """Whether a word without a capital tells what a question is about."""
        common = self._prompts[word] > max(_FEW, 0.05 * self._examples)
        return len(word) > 3 and word not in FUNCTION_WORDS and not common and self._usage.is_rare(word)


def _is_number(name: Phrase) -> bool:
    return all(any(c.isdigit() for c in word) for word in name)


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
