"""Which of two facts a judge calls better known, in both orders: its consistency, its bias, and popularity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.metrics.agreement import auc, kappa
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean

SPLIT = "pairs"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two facts, of which a judge was asked twice."""

    key: str
    more_popular: bool
    """Whether the one fact has more popularity than the other."""
    shown_first: bool | None
    """Whether the judge chose the one fact where it stood first; None: no reply that can be read."""
    shown_second: bool | None
    """The same where it stood second."""


def popularity_judged(pairs: Sequence[Pair]) -> list[Measure]:
    """Agreement of a judge with itself and with popularity. A share of agreement alone says nothing: κ and AUC do.

    DUET's figure of 81.95% agreement with a judge is a share, and the judge was asked in one order.

    Args:
        pairs: of facts drawn at random, each in one pair and either of them as the one, whichever is more popular.
    """
    both = [
        (p, p.shown_first, p.shown_second) for p in pairs if p.shown_first is not None and p.shown_second is not None
    ]
    said = [(pair, chosen) for pair in pairs for chosen in (pair.shown_first, pair.shown_second) if chosen is not None]
    firsts = [
        (pair.key, float(chosen == at_first))
        for pair in pairs
        for at_first, chosen in ((True, pair.shown_first), (False, pair.shown_second))
        if chosen is not None
    ]
    keys = [pair.key for pair, _, _ in both]
    missing = 2 * len(pairs) - len(said)
    return [
        _named(
            "kappa_between_orders",
            "Cohen's κ of the judge's choices in one order of a pair and in the other: 1 = order is nothing.",
            kappa([bool(a) for _, a, _ in both], [bool(b) for _, _, b in both], keys, key=f"{SPLIT}/between"),
        ),
        _named(
            "first_chosen",
            "Share of the choices that fall on the fact shown first; 0.5 = no position bias.",
            estimate_mean([v for _, v in firsts], [k for k, _ in firsts], key=f"{SPLIT}/first", unit=True),
        ),
        _named(
            "kappa_with_popularity",
            "Cohen's κ of single choices and of which fact has the larger popularity.",
            kappa(
                [bool(chosen) for _, chosen in said],
                [pair.more_popular for pair, _ in said],
                [pair.key for pair, _ in said],
                key=f"{SPLIT}/with",
            ),
        ),
        _named(
            "auc_of_popularity",
            "How well choices over both orders (0, a half or 1) tell the more popular fact: 0.5 = not at all.",
            auc(
                [pair.more_popular for pair, _, _ in both],
                [(float(bool(a)) + float(bool(b))) / 2 for _, a, b in both],
                keys,
                key=f"{SPLIT}/auc",
            ),
        ),
        Measure(
            name="missing",
            split=SPLIT,
            value=float(missing),
            count=2 * len(pairs),
            meaning="Choices without a reply that can be read; they count for nothing.",
        ),
    ]


def _named(name: str, meaning: str, estimate: Estimate) -> Measure:
    absent = "the judge gave no choice that can be read"
    return measure(estimate, name=name, split=SPLIT, direction="none", meaning=meaning, absent=absent)
