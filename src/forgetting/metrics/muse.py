"""MUSE's own measures: ROUGE-L without stemming, answers cut where the next question begins, and privacy leakage.

Source: Shi et al. 2024, MUSE (https://arxiv.org/abs/2407.06460) and its released code. MUSE prints all of them times
100; here ROUGE-L is between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

from rouge_score.rouge_scorer import RougeScorer

from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.membership.measures import told_apart
from forgetting.metrics.membership.privleak import Scored, privleak
from forgetting.metrics.membership.scores import min_k_name
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import PerExample, measure
from forgetting.metrics.statistics import Estimate

SHARE = 0.4
"""MUSE's Min-K% averages this share of the tokens."""
_STOPS = ("\n\n", "\nQuestion", "Question:")
_NEEDS = "a generated answer and a right answer with letters or digits"


def answer_part(written: str) -> str:
    """What is written before a blank line or the next question: a model goes on as its few-shot prompt does."""
    return written[: min((written.index(stop) for stop in _STOPS if stop in written), default=None)]


@lru_cache(maxsize=65536)
def plain_rouge_l(answer: str, generation: str) -> float | None:
    """The F1 of ROUGE-L without stemming; None if the right answer has no words; 0 of an empty generation."""
    scorer = _scorer()
    return float(scorer.score(answer, generation)["rougeL"].fmeasure) if scorer._tokenizer.tokenize(answer) else None


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(["rougeL"], use_stemmer=False)


def _verbatim(record: Record) -> float | None:
    return None if record.generation is None else plain_rouge_l(record.answer, record.generation)


def _known(record: Record) -> float | None:
    return None if record.generation is None else plain_rouge_l(record.answer, answer_part(record.generation))


verbmem = PerExample(
    "verbmem",
    _verbatim,
    "Overlap of what the model writes after a passage's beginning with how it goes on: ROUGE-L F1 without stemming, "
    "which MUSE prints times 100. 1 = word for word.",
    _NEEDS,
    unit=True,
)
"""Verbatim memorization, MUSE's equation 1."""

knowmem = PerExample(
    "knowmem",
    _known,
    "Overlap of the model's answer with the right one, up to a blank line or the next question: ROUGE-L F1 without "
    "stemming, which MUSE prints times 100.",
    _NEEDS,
    unit=True,
)
"""Knowledge memorization, MUSE's equation 2."""


def leakage(forget: str, holdout: str) -> Metric:
    """`privleak` of the split `forget`, with what it rests on: the AUC of Min-40% against `holdout`.

    Without an oracle privleak has no value: it is a distance from the retrained model.
    """
    name = min_k_name(SHARE)

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        members, others = records.get(forget, ()), records.get(holdout, ())
        told = told_apart(name, forget, members, others, "" if members and others else "there are no texts to compare")
        theirs = None if oracle is None else _scored(oracle.get(forget, ()), oracle.get(holdout, ()), name)
        ours = _scored(members, others, name)
        found, absent = Estimate(None, 0), ""
        if theirs is None:
            absent = "privleak is a distance from a model that never saw the forget set; name one as oracle"
        elif _texts(ours) != _texts(theirs):
            absent = "the oracle was asked about other texts"
        else:
            found = privleak(ours, theirs, key=f"{forget}/privleak")
        meaning = (
            "How far the AUC of Min-40% lies from the retrained model's, percent of it. 0: like it. Below: still a "
            "member, at least -100. Above: less seen than unseen text, without a bound."
        )
        return [
            *told,
            measure(found, name="privleak", split=forget, direction="none", meaning=meaning, absent=absent),
        ]

    return metric


def _scored(forget: Sequence[Record], holdout: Sequence[Record], name: str) -> Scored:
    some = ([r.values[name] for r in records if name in r.values] for records in (forget, holdout))
    return Scored(forget=next(some), holdout=next(some))


def _texts(scored: Scored) -> tuple[int, int]:
    return len(scored.forget), len(scored.holdout)
