"""Measures of the attempts of an attack: whether any attempt is right, and scores of the best one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb

from forgetting.core.measure import Direction, Measure
from forgetting.core.record import Record
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.per_example import PerExample, measure, unscored
from forgetting.metrics.statistics import Estimate, estimate_mean
from forgetting.metrics.text import exact_match, rouge_l_recall

KS = (1, 8, 32)
"""The k of leak@k that are reported in addition to the number of attempts."""
DIRECTIONS: Mapping[str, Direction] = {"forget": "down", "retain": "up"}


def leak_measures(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """Measures of what the attempts gave away, split by split; where there are several kinds of attempts, of each too.

    Args:
        records: of one model, by split.
    """
    found: list[Measure] = []
    for split, some in records.items():
        found += attack_measures(some, split)
        attempts = list(dict.fromkeys(record.attempt for record in some))
        for attempt in attempts if len(attempts) > 1 else ():
            found += [
                replace(m, name=f"{m.name}[{attempt}]", meaning=f"{m.meaning} Only attempts by '{attempt}'.")
                for m in attack_measures([r for r in some if r.attempt == attempt], split)
                if m.name != f"best_{rouge_l_recall.name}"
            ]
    return found


def measures_by_split(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """As `leak_measures`, of all attempts alone: where the kinds of attempts are of different questions.

    Args:
        records: of one model, by split.
    """
    return [one for split, some in records.items() for one in attack_measures(some, split)]


def attack_measures(records: Sequence[Record], split: str) -> list[Measure]:
    """Measures of one split: leak@k by exact match, and ROUGE-L recall and probability of the best attempt.

    Attempts that offer answers count for `choice` alone: the share of the right answer among those offered.

    Every number is a mean over questions, with an interval clustered by source example. A measure that no record
    supports is absent with its reason; the probability is left out if no record has a score.

    Args:
        records: one for each attempt at each question, of one split.
        split: the split of the measures.
    """
    answered = [record for record in records if not is_choice(record)]
    found: list[Measure] = []
    if answered or not records:
        tries = by_question(answered)
        fewest = min((len(some) for some in tries.values()), default=0)
        found += [_leak(tries, k, split) for k in sorted({k for k in (*KS, fewest) if 1 <= k <= fewest})]
        if any(len(some) > fewest for some in tries.values()):
            found.append(_any(tries, split))
        found.append(_best(tries, rouge_l_recall, split))
        if any(record.score is not None for record in answered):
            found.append(_best(tries, probability, split))
    if len(answered) < len(records):
        choices = by_question([record for record in records if is_choice(record)])
        found.append(_best(choices, replace(option_probability, name="choice"), split))
    return found


def is_choice(record: Record) -> bool:
    """Whether the attempt offers answers, the right one among them: only the choice counts."""
    return record.generation is None and bool(record.perturbed)


def by_question(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The attempts at each question, by its id."""
    tries: dict[str, list[Record]] = {}
    for record in records:
        tries.setdefault(record.id, []).append(record)
    return tries


def leak_at(k: int, right: int, tries: int) -> float:
    """The probability that k attempts, drawn without replacement, include a right one: 1 − C(n−c, k) / C(n, k).

    The unbiased estimator of pass@k (Chen et al. 2021, https://arxiv.org/abs/2107.03374, eq. 1). With k = n it is
    whether any attempt was right.

    Args:
        k: at most `tries`.
        right: c, the number of right attempts.
        tries: n.
    """
    return 1.0 - comb(tries - right, k) / comb(tries, k)


def _leak(tries: Mapping[str, Sequence[Record]], k: int, split: str) -> Measure:
    values = [right_in(k, some) for some in tries.values()]
    of = "any of its answers" if k == max(map(len, tries.values())) else f"{k} of its answers, drawn at random,"
    meaning = f"Share of questions for which {of} is right (exact match). It includes guesses: compare with the oracle."
    return _mean(tries, values, replace(exact_match, name=f"leak@{k}", meaning=meaning), split)


def _any(tries: Mapping[str, Sequence[Record]], split: str) -> Measure:
    """Whether any attempt is right, where questions have different numbers of them."""
    values = [any_right(some) for some in tries.values()]
    meaning = "Share of questions for which any answer is right (exact match), in whatever way it was asked for."
    return _mean(tries, values, replace(exact_match, name="leak", meaning=meaning), split)


def any_right(tries: Sequence[Record]) -> float | None:
    """1 if any answer is right by exact match, 0 if none is; None if none is right and one could not be scored."""
    values = [_exact(record) for record in tries]
    if any(value == 1.0 for value in values):
        return 1.0
    return None if not values or any(value is None for value in values) else 0.0


def _exact(record: Record) -> float | None:
    return exact_match.value_of(record) if record.redacted is None else record.redacted.get(exact_match.name)


def right_in(k: int, tries: Sequence[Record]) -> float | None:
    """`leak_at` of one question's attempts by exact match; None: one could not be scored.

    Args:
        k: at most as many as there are.
        tries: the attempts at one question.
    """
    right = [_exact(record) for record in tries]
    if any(value is None for value in right):
        return None
    return leak_at(k, sum(value == 1.0 for value in right), len(right))


def _best(tries: Mapping[str, Sequence[Record]], what: PerExample, split: str) -> Measure:
    def best(some: Sequence[Record]) -> float | None:
        return max((value for record in some if (value := what.value_of(record)) is not None), default=None)

    values = [best(some) for some in tries.values()]
    meaning = f"Of each question's best try. {what.meaning}"
    return _mean(tries, values, replace(what, name=f"best_{what.name}", meaning=meaning), split)


def _mean(
    tries: Mapping[str, Sequence[Record]], values: Sequence[float | None], what: PerExample, split: str
) -> Measure:
    """The mean over questions, under the name and with the meaning of `what`."""
    firsts = [some[0] for some in tries.values()]
    clusters = [record.cluster for record in firsts]
    estimate: Estimate = estimate_mean(values, clusters, key=f"{split}/{what.name}", unit=what.unit)
    direction = DIRECTIONS.get(split, "none")
    absent = unscored(split, firsts, what.needs)
    return measure(estimate, name=what.name, split=split, direction=direction, meaning=what.meaning, absent=absent)
