"""Where the forget set also occurs in other data: copies, near duplicates, passages, mentions of facts, and names.

Texts are compared as words: runs of letters and digits, case, width and accents ignored; in a script without spaces,
such as Chinese or Thai, each character (`forgetting.data.row_words`). A row of the searched data is its texts in their
order, whatever its columns are called.

    copy      a document, or a question and its answer, occurs whole
    near      the Jaccard index of the word 3-shingles of row and example is at least 0.8
    passage   8 consecutive words of a document or answer occur
    mention   the fact in other words: subject and answer occur within 60 words
    name      what tells by itself whom it is about: a full name, an address, a phone number, … (`identifiers`)
    beside    another full name of a document, which as far as can be told is not about it; weaker than the others

A passage must hold 6 words that are no phrasing: 4 words in a row that more than two groups of the forget set share, or
more than 2% of the rows of the source. One of less than 13 words must hold a name or a word that is rare in the source.
What is asked of: the names and numbers of a
question; if it has none, its words that are rare both in the forget set and in the searched data. What is answered: an
answer of at most 5 words itself; of a longer one its names and numbers that the question lacks. A document is mentioned
where three different names that only it holds occur within 60 words, and would not do so by chance in that much data.

A full name in more than 2% of the rows of a source, nearly always with nothing else of its examples, which have a rarer
name, is that source's own (a firm in every signature, a doctor in many notes): it is left out there, and in `common`.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.copies import Copies
from forgetting.data.facts import Facts, names_in
from forgetting.data.identifier_index import IdentifierIndex
from forgetting.data.identifiers import Identifier, given, identifiers
from forgetting.data.name_phrases import Phrase
from forgetting.data.row_words import Words
from forgetting.data.usage import Usage
from forgetting.data.word_lists import FUNCTION_WORDS

How = Literal["copy", "near", "passage", "mention", "name", "beside"]
KINDS: tuple[How, ...] = ("copy", "near", "passage", "mention", "name", "beside")
_NAMES = ("name", "other name")
_LONG_PASSAGE = 13
"""Words from which on a passage tells by itself; a shorter one must hold a name of its example, or a rare word."""


@dataclass(frozen=True, slots=True)
class Found:
    """One example of the forget set, or a part of it, in a row of other data."""

    kind: How
    example: Example
    text: str
    """The matching words, as in the row, 200 characters at most."""
    score: float
    """Of `near` the Jaccard index; of `passage` the words of the longest one; else 1."""
    start: int = 0
    """The first character of the matching words in the text."""
    others: tuple[Example, ...] = ()
    """Of `name`: the other examples that hold it, which have no finding of their own."""


class Finder:
    """Looks for the examples of a forget set in rows of other data. Memory: the forget set's, not the data's.

    Args:
        forget: what is to be forgotten.
        names: names, addresses or numbers to look for besides, each as an example of its own.
    """

    def __init__(self, forget: Sequence[Example], names: Sequence[str] = ()) -> None:
        tokens = next((e for e in forget if e.form == "tokens"), None)
        if tokens is not None:
            raise DataError(f"{tokens.where or tokens.id}: is token ids, which have no words; give the text")
        added = [Example(id=name, form="text", response=name, where=f"the name {name}") for name in names]
        self._forget = [*forget, *added]
        self._texts = [(Words.of(e.prompt).plain, Words.of(e.response).plain) for e in forget]
        self._copies = Copies(self._texts, [e.cluster for e in forget])
        self._names = names_in(forget)
        self.vocabulary = frozenset(w for prompt, response in self._texts for w in (*prompt, *response))
        self._holders = self._index_identifiers([*identifiers(forget), *(given(name) for name in names)])
        self.identifiers = tuple(self._holders)
        self._held = [self._holders[one] for one in self.identifiers]
        self._names_of: defaultdict[int, list[int]] = defaultdict(list)
        for number, one in enumerate(self.identifiers):
            for index in self._held[number] if one.what in _NAMES else ():
                self._names_of[index].append(number)
        self._index = IdentifierIndex(self.identifiers)
        self._judge_by(Usage())

    @staticmethod
    def _index_identifiers(found: Sequence[Sequence[Identifier]]) -> dict[Identifier, list[int]]:
        holders: defaultdict[Identifier, list[int]] = defaultdict(list)
        for index, some in enumerate(found):
            for one in some:
                holders[one].append(index)
        return dict(holders)

    def judging_by(self, usage: Usage) -> Finder:
        """The same finder, for a source that uses words and names so often."""
        finder = copy.copy(self)
        finder._judge_by(usage)
        return finder

    def _judge_by(self, usage: Usage) -> None:
        self.usage = usage
        self._facts = Facts(self._forget[: len(self._texts)], self._texts, self._names, usage)

    @property
    def without_names(self) -> int:
        """How many examples have nothing that tells by itself whom they are about."""
        return len(self._texts) - len({index for held in self._held for index in held if index < len(self._texts)})

    @property
    def without_mentions(self) -> int:
        """How many examples have nothing that tells them apart, so that no mention of them can be found."""
        named = {index for held in self._held for index in held}
        return sum(self._facts[index] is None and index not in named for index in range(len(self._texts)))

    @property
    def common(self) -> dict[str, int]:
        """The names that are left out as the source's own, and the rows that hold each."""
        usage = self.usage
        return {self.identifiers[n].said: usage.names[n] for n in sorted(usage.names) if self._is_left_out(n)}

    def _is_left_out(self, number: int) -> bool:
        """Whether a name is common in the source, and each of its examples has a name that is rarer there."""
        if self.identifiers[number].what not in _NAMES or not self.usage.is_common(number):
            return False
        rows = self.usage.names
        return all(
            any(0 < 2 * rows[other] <= rows[number] for other in self._names_of.get(index, ()))
            for index in self._held[number]
        )

    def count(self, text: str, usage: Usage) -> None:
        """Adds a row to what is known of its source."""
        words = Words.of(text)
        usage.rows += 1
        usage.words.update(self.vocabulary.intersection(words.plain))
        usage.phrases.update(self._copies.phrases(words.plain))
        found = self._index.find(words)
        usage.names.update(found.keys())
        for number in found:
            own = set(self._held[number])
            usage.together[number] += any(other != number and own.intersection(self._held[other]) for other in found)

    def find(self, text: str, body: str | None = None) -> list[Found]:
        """The forget examples that occur in a text, in the order of the set; of each example the strongest kind.

        Args:
            text: all texts of a row.
            body: those of them that may nearly repeat an example: without a source, a category, …; None: all.
        """
        words = Words.of(text)
        if not words.plain:
            return []
        hits: tuple[tuple[How, Iterable[tuple[int, int, int, float]]], ...] = (
            ("copy", ((*hit, 1.0) for hit in self._copies.whole(words.plain))),
            ("near", self._near(words, body)),
            ("passage", self._shared(words)),
            ("mention", ((*hit, 1.0) for hit in self._facts.find(words.plain))),
        )
        best: dict[int, Found] = {}
        for kind, some in hits:
            for index, first, stop, score in some:
                if index not in best:
                    best[index] = self._found(kind, index, words, (first, stop), score)
        for number, span in sorted(self._index.find(words).items(), key=lambda hit: (self._is_other(hit[0]), hit[1])):
            held = self._held[number]
            if not self._is_left_out(number) and not any(index in best for index in held):
                how: How = "beside" if self._is_other(number) else "name"
                best[held[0]] = self._found(how, held[0], words, span, 1.0, held[1:])
        return [best[index] for index in sorted(best)]

    def _is_other(self, number: int) -> bool:
        return self.identifiers[number].what == "other name"

    def _found(
        self, kind: How, index: int, words: Words, span: tuple[int, int], score: float, others: Sequence[int] = ()
    ) -> Found:
        rest = tuple(self._forget[other] for other in others)
        return Found(kind, self._forget[index], words.said(*span), score, words.spans[span[0]][0], rest)

    def _near(self, words: Words, body: str | None) -> Iterator[tuple[int, int, int, float]]:
        plain = words.plain if body is None or body == words.text else Words.of(body).plain
        for index, score in self._copies.near(plain):
            yield index, 0, len(words.plain), score

    def _shared(self, words: Words) -> Iterator[tuple[int, int, int, float]]:
        for index, start, stop in self._copies.passages(words.plain):
            passage = words.plain[start:stop]
            if self._copies.is_phrasing(passage, self.usage.is_usual):
                continue
            if stop - start >= _LONG_PASSAGE or self._telling(index, passage):
                yield index, start, stop, float(stop - start)

    def _telling(self, index: int, passage: Phrase) -> bool:
        names = {word for name in self._names[index][1] for word in name}
        return any(w in names or (w not in FUNCTION_WORDS and self.usage.is_rare(w)) for w in passage)
