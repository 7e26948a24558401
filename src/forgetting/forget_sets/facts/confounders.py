"""Whether rare and popular facts differ in more than popularity.

A difference between forgetting rare and popular facts is one of popularity only if nothing else tells the two sets
apart. Said beside every split: Cramér's V of relation and of answer with the side, with what shuffled sides give
(many answers with few facts each give a large V by chance); how well the frequency of a fact's answer, and the length
of its subject, tell the sides apart (area under the ROC curve: 0.5 not at all); and what is shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from scipy.stats.contingency import association

from forgetting.data.words import words
from forgetting.forget_sets.facts.known import Asked
from forgetting.forget_sets.facts.splits import Split

_SHUFFLES = 50
_COMMONEST = 5


def confounders(split: Split, known: Sequence[Asked]) -> dict[str, Any]:
    """What tells rare from popular facts, and what the retained ones share with them.

    Args:
        split: whose sets are compared.
        known: all facts that were to be split: in them, the frequency of answers is counted.
    """
    sides = [0] * len(split.rare) + [1] * len(split.popular)
    both = [*split.rare, *split.popular]
    often = Counter(one.answer for one in known)
    return {
        "rare": _about(split.rare),
        "popular": _about(split.popular),
        "relation": cramers_v([one.relation for one in both], sides),
        "answer": cramers_v([one.answer for one in both], sides),
        "auc_of_popularity": auc([one.popularity for one in both], sides),
        "auc_of_the_answers_frequency": auc([often[one.answer] for one in both], sides),
        "auc_of_the_subjects_length": auc([len(one.fact.subject.label) for one in both], sides),
        "answers_on_both_sides": len({o.answer for o in split.rare} & {o.answer for o in split.popular}),
        "retain": _shared(split.retain, split),
        "retain_same_answers": _shared(split.same_answers, split),
    }


def cramers_v(values: Sequence[Hashable], sides: Sequence[int]) -> dict[str, float | None]:
    """Cramér's V of a category with the side (0: none, 1: it tells the side), and the mean over shuffled sides.

    V = √(χ² / n) for two sides. None where there is one category or one side, of which nothing can be told.
    """
    found = np.unique([str(value) for value in values], return_inverse=True)[1]
    sides_N = np.asarray(sides)
    if len(set(found.tolist())) < 2 or len(set(sides)) < 2:
        return {"v": None, "by_chance": None}
    random = np.random.default_rng(0)
    shuffled = [_v(found, random.permutation(sides_N)) for _ in range(_SHUFFLES)]
    return {"v": _v(found, sides_N), "by_chance": float(np.mean(shuffled))}


def _v(categories_N: np.ndarray, sides_N: np.ndarray) -> float:
    table = np.zeros((categories_N.max() + 1, 2), dtype=int)
    np.add.at(table, (categories_N, sides_N), 1)
    return float(association(table, method="cramer"))


def auc(scores: Sequence[float], sides: Sequence[int]) -> float | None:
    """The chance that a popular fact scores above a rare one, ties half; None if a side is empty."""
    ranks_N, popular_N = rankdata(scores), np.asarray(sides, dtype=bool)
    above, below = int(popular_N.sum()), int((~popular_N).sum())
    if not above or not below:
        return None
    return float((ranks_N[popular_N].sum() - above * (above + 1) / 2) / (above * below))


def _about(facts: Sequence[Asked]) -> dict[str, Any]:
    """A side: its size, popularity, commonest relations and answers, and how many questions tell a word of them."""
    values = [one.popularity for one in facts]
    relations, answers = Counter(o.relation for o in facts), Counter(o.answer for o in facts)
    leaks = sum(bool(set(words(one.question)) & set(words(one.answer))) for one in facts)
    return {
        "facts": len(facts),
        "popularity": {"least": min(values), "median": float(np.median(values)), "most": max(values)},
        "relations": dict(relations.most_common(_COMMONEST)),
        "answers": dict(answers.most_common(_COMMONEST)),
        "different_answers": len(answers),
        "share_of_the_commonest_answer": answers.most_common(1)[0][1] / len(facts),
        "questions_with_a_word_of_the_answer": leaks,
    }


def _shared(retain: Sequence[Asked], split: Split) -> dict[str, Any] | None:
    if not retain:
        return None
    found: dict[str, Any] = {"facts": len(retain)}
    for side, some in (("rare", split.rare), ("popular", split.popular)):
        answers = {one.answer for one in some}
        ends = {key for one in some for key in (one.fact.subject.key, one.fact.object.key)}
        found[f"with_an_answer_of_{side}"] = sum(one.answer in answers for one in retain)
        found[f"about_an_entity_of_{side}"] = sum(one.fact.subject.key in ends for one in retain)
    return found
