"""Rare, popular and retained facts: by popularity alone, or matched.

By popularity alone the two ends differ in more than popularity: of DUET's 482 popular facts 457 ask for a country, and
297 have one answer. Matched, each rare fact has a popular one of the same relation and answer beside it.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from forgetting.core.errors import DataError, RecipeError
from forgetting.forget_sets.facts.known import Asked

Key = Literal["relation", "answer"]
MATCHED: tuple[Key, ...] = ("relation", "answer")


@dataclass(frozen=True)
class Split:
    """Facts to be forgotten, rare or popular, and what should stay."""

    rare: list[Asked]
    popular: list[Asked]
    retain: list[Asked]
    """Of a matched split: facts that share neither subject nor answer with those to be forgotten."""
    same_answers: list[Asked] = field(default_factory=list)
    """Of a matched split: facts that share no subject, but an answer: whether the answer alone was forgotten."""
    wanted: int = 0
    """How many rare and how many popular facts were asked for."""

    def files(self) -> dict[str, list[Asked]]:
        """Its sets by name; those of none left out."""
        found = {
            "rare": self.rare,
            "popular": self.popular,
            "retain": self.retain,
            "retain_same_answers": self.same_answers,
        }
        return {name: some for name, some in found.items() if some}


def matched_keys(given: str) -> tuple[Key, ...]:
    """Keys as a user writes them: `relation,answer`; '' is none.

    Raises:
        RecipeError: another word.
    """
    found: list[Key] = []
    for word in (w.strip() for w in given.split(",") if w.strip()):
        key = next((key for key in MATCHED if key == word), None)
        if key is None:
            raise RecipeError(f"matched: '{word}' is neither relation nor answer; give one of them, both or ''")
        found.append(key)
    return tuple(found)


def plain_split(facts: Sequence[Asked], percent: float) -> Split:
    """The first and last ⌊N%⌋ by popularity, and those between them (DUET, section 2).

    Raises:
        DataError: N is not above 0 and at most 50, or so few facts that N% of them is none.
    """
    wanted = _wanted(facts, percent)
    ordered = by_popularity(facts)
    return Split(ordered[:wanted], ordered[-wanted:], ordered[wanted:-wanted], wanted=wanted)


def matched_split(
    facts: Sequence[Asked], percent: float, keys: Sequence[Key] = MATCHED, most: int | None = None
) -> Split:
    """As many rare as popular facts of every relation and answer.

    Of the facts that agree in `keys`, the least popular is paired with the most popular, the second with the second
    to last, and so on, as long as one lies in the less popular half of all facts and the other in the more popular
    half. Pairs go by how far apart they are in rank, the farthest first, until each side has ⌊N%⌋ facts or no pair is
    left. No subject is on both sides.

    Args:
        facts: known ones with popularity.
        percent: N.
        keys: in what a rare fact and a popular one agree.
        most: facts of one answer, a side; None: as many as there are.

    Raises:
        DataError: as `plain_split`, or there is no pair.
    """
    wanted = _wanted(facts, percent)
    ordered = by_popularity(facts)
    middle = ordered[len(ordered) // 2].popularity
    cells: defaultdict[Hashable, list[int]] = defaultdict(list)
    for rank, one in enumerate(ordered):
        cells[tuple(getattr(one, key) for key in keys)].append(rank)
    pairs = [
        (low, high)
        for ranks in cells.values()
        for low, high in zip(ranks, reversed(ranks), strict=True)
        if ordered[low].popularity < middle <= ordered[high].popularity
    ]
    pairs.sort(key=lambda pair: (pair[0] - pair[1], pair))
    taken: list[tuple[Asked, Asked]] = []
    subjects: set[str] = set()
    answers: Counter[str] = Counter()
    for low, high in pairs:
        rare, popular = ordered[low], ordered[high]
        own = {rare.fact.subject.key, popular.fact.subject.key}
        full = most is not None and max(answers[rare.answer], answers[popular.answer]) >= most
        if len(taken) < wanted and len(own) == 2 and not own & subjects and not full:
            taken.append((rare, popular))
            subjects |= own
            answers.update({rare.answer, popular.answer})
    if not taken:
        raise DataError(
            f"no two known facts agree in {' and '.join(keys)} while one is rare and one popular; "
            "let more facts be asked, or match fewer keys"
        )
    forget = [fact for pair in taken for fact in pair]
    said = {one.answer for one in forget}
    rest = [one for one in ordered if one.fact.subject.key not in subjects]
    return Split(
        by_popularity([rare for rare, _ in taken]),
        by_popularity([popular for _, popular in taken]),
        [one for one in rest if one.answer not in said],
        [one for one in rest if one.answer in said],
        wanted,
    )


def drawn(facts: Sequence[Asked], count: int, seed: int) -> list[Asked]:
    """So many of them, drawn, in their order; all if there are fewer. A smaller draw is part of a larger one."""
    order = list(range(len(facts)))
    random.Random(seed).shuffle(order)
    return [facts[i] for i in sorted(order[:count])]


def by_popularity(facts: Sequence[Asked]) -> list[Asked]:
    """The least popular first; equal ones by what they say, so that no order of a file decides."""
    return sorted(facts, key=lambda one: (one.popularity, one.id))


def _wanted(facts: Sequence[Asked], percent: float) -> int:
    if not 0 < percent <= 50:
        raise DataError(f"percent is {percent:g}; give one above 0 and at most 50")
    wanted = int(len(facts) * percent / 100)
    if not wanted:
        raise DataError(f"{percent:g}% of {len(facts)} known facts is none; let more facts be asked")
    return wanted
