"""Which facts can be asked: each has one answer, a subject that no other bears, and a question that does not tell it.

Every step is counted, so that an account can say where the facts went.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from forgetting.data.words import folded, words
from forgetting.forget_sets.facts.fact import Fact
from forgetting.forget_sets.facts.popularity import Popularity
from forgetting.forget_sets.facts.relations import ANY, Relations

Several = Literal["drop", "popular"]
_ID = re.compile(r"[QPL][0-9]+$")
_SMALL = frozenset(("the", "of", "and", "a", "an", "in", "de", "la", "le", "el", "al", "city", "district", "province"))
"""Words that do not tell a name."""
_TELLING = 4
"""Letters from which on a name that stands in another is no accident: Kuwait in Kuwaiti dinar, but not Man in Oman."""


@dataclass
class Steps:
    """What became of the facts, step by step."""

    counts: dict[str, int] = field(default_factory=dict)
    """Facts that are left after each step, by what the step leaves out."""
    without: Counter[str] = field(default_factory=Counter)
    """Relations that cannot be asked, by their facts."""
    generic: Counter[str] = field(default_factory=Counter)
    """Relations that are asked in the general form, by their facts."""

    def left(self, step: str, facts: list[Fact]) -> list[Fact]:
        """Notes what a step left."""
        self.counts[step] = len(facts)
        return facts


def cleaned(
    facts: Iterable[Fact],
    relations: Relations,
    popularity: Callable[[Sequence[Fact]], Popularity],
    *,
    several: Several = "drop",
    leaks: bool = False,
) -> tuple[list[Fact], Steps, Popularity]:
    """The facts that can be asked, the steps that led there, and the measure of their popularity.

    Args:
        facts: as a source gives them.
        relations: how they are asked.
        popularity: the measure, made of all facts that were read.
        several: of a subject and relation with several answers none is kept, or (DUET) the most popular one.
        leaks: whether to keep facts whose subject tells the answer (`leak`).
    """
    steps = Steps()
    found = steps.left("read", list(facts))
    measure = popularity(found)
    shared = _names_of_several(found, measure)
    found = steps.left("stated once", _once(found))
    found = steps.left("asked by the relations file", _asked(found, relations, steps))
    found = steps.left("named, and not by a bare id", [f for f in found if _is_named(f)])
    found = [fact for fact in found if _name(fact) not in shared]
    found = steps.left("about a name that one entity bears", _once(_with_ids(found)))
    found = steps.left(
        "with one answer" if several == "drop" else "with the most popular of several answers",
        _one_answer(found, measure, several),
    )
    if not leaks:
        found = steps.left("whose subject does not tell the answer", [f for f in found if not leak(f)])
    return found, steps, measure


def leak(fact: Fact) -> bool:
    """Whether subject and answer are one, share a word that tells a name, or one's name stands in the other's."""
    subject, answer = folded(fact.subject.label), folded(fact.object.label)
    shorter, longer = sorted((subject, answer), key=len)
    shared = (set(words(subject)) & set(words(answer))) - _SMALL
    return fact.subject.key == fact.object.key or bool(shared) or (len(shorter) >= _TELLING and shorter in longer)


def _said(fact: Fact) -> tuple[str, str, str]:
    return fact.subject.key, fact.relation, fact.object.key


def _once(facts: Sequence[Fact]) -> list[Fact]:
    """Of facts that say the same the first."""
    return list({_said(fact): fact for fact in reversed(facts)}.values())[::-1]


def _with_ids(facts: Sequence[Fact]) -> list[Fact]:
    """Facts about names that one entity bears; where any of them gives its id, all do, so that its `key` is one."""
    ids = {_name(fact): fact.subject.id for fact in facts if fact.subject.id}
    return [replace(f, subject=replace(f.subject, id=ids.get(_name(f), ""))) for f in facts]


def _asked(facts: Sequence[Fact], relations: Relations, steps: Steps) -> list[Fact]:
    listed = {name for name in relations.named if name != ANY}
    others = Counter(fact.relation for fact in facts if fact.relation not in listed)
    if ANY in relations.named:
        steps.generic = others
        return list(facts)
    steps.without = others
    return [fact for fact in facts if fact.relation in listed]


def _is_named(fact: Fact) -> bool:
    labels = (fact.subject.label, fact.object.label)
    return not any(_ID.match(label) or not words(label) for label in labels)


def _names_of_several(facts: Sequence[Fact], measure: Popularity) -> set[str]:
    """Names that several entities bear as subjects, told apart by id or, where there is none, by popularity.

    An entity without an id is the one that bears its name and popularity with an id, if there is such a one. Without a
    popularity either, it cannot be told from others.
    """
    rated = [(_name(fact), fact.subject.id, measure.of(fact.subject)) for fact in facts]
    ids = {(name, popularity): id for name, id, popularity in rated if id}
    bearers: defaultdict[str, set[object]] = defaultdict(set)
    for name, id, popularity in rated:
        told_by: object = id or ids.get((name, popularity)) or popularity
        if told_by is not None:
            bearers[name].add(told_by)
    return {name for name, found in bearers.items() if len(found) > 1}


def _name(fact: Fact) -> str:
    return folded(fact.subject.label)


def _one_answer(facts: Sequence[Fact], measure: Popularity, several: Several) -> list[Fact]:
    answers: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        answers[fact.subject.key, fact.relation].append(fact)
    if several == "drop":
        return [some[0] for some in answers.values() if len(some) == 1]
    return [max(some, key=lambda f: measure.of(f.object) or 0.0) for some in answers.values()]
