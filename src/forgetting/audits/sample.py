"""The sampling attack: many sampled answers per question; the best one is used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from forgetting.audits.asking import cut, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.measures import DIRECTIONS, by_question, leak_measures
from forgetting.audits.registry import register_attack
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.evaluation.sampling import Sampling, sample_answers
from forgetting.metrics.per_example import measure
from forgetting.metrics.proportions import most_on_average
from forgetting.metrics.statistics import estimate_mean
from forgetting.metrics.text import rouge_l_recall

SURE = 0.99
"""The level of the bound of one question's mean score, as its authors take it."""
BOUND = "sampled_rouge_bound"


@register_attack("sample")
def sample(n: int = 32, temperature: float = 1.0, top_p: float = 1.0) -> Attack:
    """Samples n answers to each question; a single right answer reveals the fact.

    The protocol of leak@k, https://arxiv.org/abs/2511.04934 (n 200, temperature 1, top-p 1 in its released code); see
    `audits.measures` for k ≤ n. Greedy decoding alone understates the knowledge; but a model that never saw a fact can
    guess it, so compare the number with the oracle's: the certificate compares leak@k of half of the answers, the mean
    over all halves, since whether one of all n is right hangs on the draws.

    Args:
        n: answers to each question.
        temperature: divides the logits.
        top_p: only the likeliest tokens with this total probability are drawn; 1: all.

    Raises:
        ValueError: a parameter out of range.
    """
    if n < 1:
        raise ValueError(f"n is {n}; write a whole number from 1 up")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; write a number above 0")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; write a number above 0, at most 1")

    def attack(target: Target) -> Sequence[Record]:
        records: list[Record] = []
        asked = questions(target)
        for text in (False, True):
            limit = None if text else target.max_new_tokens
            sampled = sample_answers(
                target.model,
                target.tokenizer,
                [e for e in asked if (e.form == "text") == text],
                Sampling(n, temperature, top_p, target.seed, limit),
                split=target.split,
                formatting=target.formatting,
                progress=target.voice.progress,
            )
            records += [cut(record, text=text) for record in sampled]
        return records

    return Attack(run=attack, measures=sampled_measures, leaks=("leak@half",))


def sampled_measures(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """What the answers gave away (`audits.measures`), and how much more of it other answers might on the average.

    Args:
        records: of one model, by split.
    """
    return leak_measures(records) + [_bound(split, some) for split, some in records.items()]


def _bound(split: str, records: Sequence[Record]) -> Measure:
    """The mean over questions of the bound of ROUGE-L recall; a question of which an answer has no score has none."""
    tries = by_question(records)
    scores = [[rouge_l_recall.value_of(record) for record in some] for some in tries.values()]
    bounds = [
        most_on_average([s for s in some if s is not None], SURE) if None not in some else None for some in scores
    ]
    clusters = [some[0].cluster for some in tries.values()]
    fewest = min(map(len, tries.values()), default=0)
    return measure(
        estimate_mean(bounds, clusters, key=f"{split}/{BOUND}", unit=True),
        name=BOUND,
        split=split,
        direction=DIRECTIONS.get(split, "none"),
        meaning=f"ROUGE-L recall of a sampled answer is at most this on the average, with {SURE:.0%} for each "
        f"question, whatever its distribution; mean over questions. It shrinks with the number of answers, here "
        f"{fewest}.",
        absent="no answer was scored",
    )
