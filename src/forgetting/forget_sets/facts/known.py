"""Which facts a model knows: it is asked, and its answer is compared with the right one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from forgetting.core.digest import digest
from forgetting.core.kept_lines import add_lines, kept_lines
from forgetting.core.progress import Voice
from forgetting.data.words import words
from forgetting.forget_sets.facts.fact import Fact
from forgetting.forget_sets.facts.relations import Relations, in_words
from forgetting.metrics.text import normalized

NEARLY = 0.75
"""The least F1 of words from which on an answer counts as the right one.

At 0.6 one of two words is enough, and most such answers of small models are wrong: North America for America, Africa
for South Africa. Fred Niblo for Fred Niblo, Jr. has 0.8.
"""
_ARTICLE = re.compile(r"^(the|a|an) ")


@dataclass(frozen=True)
class Asked:
    """A fact as a question, and what the model said to it."""

    fact: Fact
    question: str
    paraphrases: tuple[str, ...]
    popularity: float
    right: tuple[str, ...]
    """What counts as the right answer beside `answer`."""
    said: str = ""
    """The model's answer."""
    score: float = 0.0
    """See `score`."""

    @property
    def relation(self) -> str:
        """The relation's name."""
        return self.fact.relation

    @property
    def answer(self) -> str:
        """The right answer."""
        return self.fact.object.label

    @property
    def id(self) -> str:
        """What names it: a digest of subject, relation and answer."""
        return digest(self.fact.subject.key, self.relation, self.fact.object.key)

    @property
    def is_known(self) -> bool:
        """Whether the answer is right, or nearly."""
        return self.score >= NEARLY


@dataclass(frozen=True)
class Shown:
    """A question with its answer that is shown before the others."""

    prompt: str
    response: str


class Knower(Protocol):
    """A model that is asked."""

    @property
    def about(self) -> Mapping[str, object]:
        """Its name, the digest of its weights, and how it is asked."""

    def answers(self, questions: Sequence[tuple[str, str]], shown: Sequence[Shown]) -> Iterator[dict[int, str]]:
        """The greedy answers to (question, right answer) pairs by their number, batch by batch.

        The right answer is not shown: some tokenizers begin an answer otherwise with another first letter.
        """


def as_question(fact: Fact, relations: Relations, popularity: float) -> Asked:
    """A fact as it is asked: in the source's own words if it has any, else in the relation's."""
    relation = relations.asked(fact)
    assert relation is not None, "facts that cannot be asked were left out"
    own = fact.question or in_words(relation.question, fact)
    others = [in_words(form, fact) for form in (relation.question, *relation.paraphrases)]
    answer = fact.object
    return Asked(
        fact=fact,
        question=own,
        paraphrases=tuple(dict.fromkeys(q for q in others if q != own)),
        popularity=popularity,
        right=tuple(dict.fromkeys((*answer.aliases, *relation.answers.get(answer.label, ())))),
    )


def score(said: str, right: Iterable[str], others: Collection[str] = ()) -> float:
    """How right an answer is: 1 if it is one of the right ones (`plain`), else the best F1 of words with one of them.

    Args:
        said: the answer.
        right: what counts as right.
        others: as `plain`: answers to other questions. One of them is not nearly right: Sudan for South Sudan.
    """
    found = max((_score(said, one) for one in right), default=0.0)
    return 0.0 if found < 1 and plain(said) in others else found


def plain(text: str) -> str:
    """An answer as answers are compared: without case, accents, article and final punctuation."""
    apart = unicodedata.normalize("NFD", normalized(text))
    return _ARTICLE.sub("", "".join(c for c in apart if not unicodedata.combining(c)))


def _score(said: str, right: str) -> float:
    if plain(said) == plain(right):
        return 1.0
    found, wanted = words(plain(said)), words(plain(right))
    common = sum(min(found.count(word), wanted.count(word)) for word in set(wanted))
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def known_by(
    knower: Knower, facts: Sequence[Asked], shown: Sequence[Shown], folder: Path, voice: Voice
) -> tuple[list[Asked], int]:
    """The facts with the model's answers and scores, and how many of them an earlier, ended build had asked.

    Answers are kept in `folder` as they come, so that a build that is ended goes on from there.

    Raises:
        RunError: the folder cannot be written.
    """
    model = {key: value for key, value in knower.about.items() if key != "model"}
    file = folder / digest(model, [asdict(s) for s in shown]) / "answers.jsonl"
    with kept_lines(file, lambda row: (str(row["question"]), str(row["answer"])), voice) as kept:
        said = dict(kept)
        missing = [i for i, one in enumerate(facts) if one.question not in said]
        before = len(facts) - len(missing)
        asked = [(facts[i].question, facts[i].answer) for i in missing]
        voice.progress(before, len(facts), "asking the model")
        for found in knower.answers(asked, shown):
            fresh = {asked[number][0]: text for number, text in found.items()}
            add_lines(file, [{"question": question, "answer": text} for question, text in fresh.items()])
            said |= fresh
            voice.progress(len(said.keys() & {one.question for one in facts}), len(facts), "asking the model")
    others: defaultdict[str, set[str]] = defaultdict(set)
    for one in facts:
        others[one.relation].add(plain(one.answer))
    return [_judged(one, said[one.question], others[one.relation]) for one in facts], before


def _judged(one: Asked, said: str, others: Collection[str]) -> Asked:
    return replace(one, said=said, score=score(said, (one.answer, *one.right), others))
