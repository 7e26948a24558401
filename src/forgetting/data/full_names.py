"""Which names of a forget set tell by themselves whom a text is about.

A full name is two or more words with a capital that follow each other. It is none if it is a place in its texts ("in",
"at", "the" stands before it more often than not), an institution of a document, or a phrase whose last word is a common
one there ("Governing Law").

A question is about the names in it. A document is about its first full name; about one of which a word occurs again, in
the document or in its file's name or an e-mail address; and about one that is in several documents. It is not about one
who always has a professional title while others are named (a patient's doctor), nor about one that many groups share
which each have a name of their own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from forgetting.core.example import Example
from forgetting.data.addresses import house_before, is_street
from forgetting.data.name_phrases import Name, Token, names_of, tokens_of
from forgetting.data.row_words import Words
from forgetting.data.word_lists import INSTITUTIONS, PLACED, PROFESSIONS, TITLES

_SHARED = 2
_LONGEST_FIELD = 100


@dataclass
class _Use:
    """How a set's texts use a name."""

    times: int = 0
    placed: int = 0
    """Behind "in", "at", "the", …"""
    titled: int = 0
    """With the title of a profession."""
    about: int = 0
    """In a question or a document that is about it."""
    groups: set[str] = field(default_factory=set)


class FullNames:
    """The full names of examples."""

    def __init__(self, examples: Sequence[Example]) -> None:
        texts = [(tokens_of(e.prompt), tokens_of(e.response)) for e in examples]
        self._small = {t.text for pair in texts for text in pair for t in text if t.text[:1].islower()}
        self._uses: defaultdict[str, _Use] = defaultdict(_Use)
        named = [self._add(example, *tokens) for example, tokens in zip(examples, texts, strict=True)]
        uses = self._uses
        untitled = {key for key, use in uses.items() if use.titled < use.times}
        alone = {key for keys in named if not untitled.intersection(keys) for key in keys}
        self.known = frozenset(key for key, use in uses.items() if 2 * use.placed <= use.times)
        """All of them, their words with spaces between."""
        groups = len({e.cluster for e in examples})
        self.subjects = frozenset(
            key
            for key in (self.known & (untitled | alone)) - self._shared(groups)
            if uses[key].about or len(uses[key].groups) > 1
        )
        """Those that an example is about."""

    def of(self, tokens: Sequence[Token]) -> Iterator[tuple[str, ...]]:
        """The words of each known name in a text."""
        for name in names_of(tokens):
            for words in self._readings(name, False):
                if " ".join(words) in self.known:
                    yield words

    def _add(self, example: Example, question: list[Token], response: list[Token]) -> list[str]:
        """Counts the names of an example; an answer's name may be anything, and is not counted."""
        tokens, is_document = (response, True) if example.is_document else (question, False)
        words = Counter(t.text.casefold() for t in tokens) + Counter(_words_beside(example))
        found: list[str] = []
        for name in names_of(tokens):
            for reading in self._readings(name, is_document):
                use = self._uses[" ".join(reading)]
                titled = name.tokens[0].text.lower() in PROFESSIONS
                recurs = any(words[w.casefold()] > 1 for w in reading if len(w) > 2)
                placed = name.before is not None and not name.tokens[0].opens and name.before.text.lower() in PLACED
                use.times += 1
                use.placed += placed
                use.titled += titled
                use.about += not is_document or recurs or not (found or titled or placed)
                use.groups.add(example.cluster)
                if not titled and not placed:
                    found.append(" ".join(reading))
        return found

    def _readings(self, name: Name, is_document: bool) -> Iterator[tuple[str, ...]]:
        """The words of a name that may be one, without titles; of one that begins a sentence, without its first too."""
        words = tuple(t.text for t in name.tokens)
        opens = name.tokens[0].opens
        while words and words[0].lower() in TITLES:
            words, opens = words[1:], False
        for reading in (words, words[1:]) if opens and len(words) > 2 else (words,):
            if len(reading) > 1 and not self._is_none(name, reading, is_document):
                yield reading

    def _is_none(self, name: Name, words: tuple[str, ...], is_document: bool) -> bool:
        heading = name.tokens[0].opens and all(w.isupper() for w in words) and bool(self._small)
        institution = is_document and any(w.lower() in INSTITUTIONS for w in words)
        common = words[-1].lower() in self._small
        return common or heading or institution or house_before(name) is not None or is_street(words[-1])

    def _shared(self, groups: int) -> set[str]:
        """Names of several groups, but not of most, that mostly stand beside a name of fewer groups."""
        least: dict[str, int] = {}
        owners = {key: self._uses[key].groups for key in self.known}
        for own in owners.values():
            for group in own:
                least[group] = min(least.get(group, len(own)), len(own))
        return {
            key
            for key, own in owners.items()
            if _SHARED < len(own) < 0.5 * groups and 2 * sum(least[g] < len(own) for g in own) >= len(own)
        }


def _words_beside(example: Example) -> Iterable[str]:
    """The words of its short fields (a title, a file's name) and of the e-mail addresses in it."""
    beside = [example.id, example.group, *(v for v in example.fields.values() if isinstance(v, str))]
    mails = [word for word in (example.prompt + " " + example.response).split() if "@" in word]
    for text in {text for text in (*beside, *mails) if len(text) <= _LONGEST_FIELD}:
        yield from (w.casefold() for word in Words.of(text).raw for w in [word.rstrip("0123456789")])
