"""How likely the model finds the right answer: probability, loss, perplexity, greedy ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forgetting.core.measure import Direction, Measure
from forgetting.core.record import Record, Score
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.per_example import PerExample, measure, unscored
from forgetting.metrics.statistics import estimate_mean

_NEEDS_SCORE = "a score of its answer"
_NEEDS_RANKS = "the ranks of its answer's tokens"
_LOSS = "How surprised the model is by the right answer: mean -log p per answer token, in nats. 0 = not at all."
_PERPLEXITY = "exp(loss): how many equally likely tokens the model hesitates between at each answer token. 1 = certain."


def usable(score: Score | None) -> Score | None:
    """The score if it is usable: at least one token and a log p that is a number."""
    return score if score is not None and score.tokens > 0 and not math.isnan(score.logp) else None


def _probability(record: Record) -> float | None:
    score = usable(record.score)
    return score.probability if score else None


def _option_probability(record: Record) -> float | None:
    scores = [usable(score) for score in (record.score, *record.perturbed)]
    logs = np.array([-score.loss for score in scores if score])
    if len(logs) < max(len(scores), 2) or np.isneginf(logs).all():
        return None
    shares = np.exp(logs - logs.max())  # only ratios matter: no underflow, however unlikely all options are
    return float(shares[0] / shares.sum())


def _memorization(record: Record) -> float | None:
    ranks = record.score.ranks if record.score else ()
    return sum(rank == 0 for rank in ranks) / len(ranks) if ranks else None


def _forced_exact(record: Record) -> float | None:
    share = _memorization(record)
    return None if share is None else float(share == 1.0)


probability = PerExample(
    "probability",
    _probability,
    "How likely the model finds the right answer, per token: p(answer)^(1/tokens), mean over questions. 1 = certain.",
    _NEEDS_SCORE,
    unit=True,
)
"""p(answer)^(1/tokens) of each record."""

option_probability = PerExample(
    "option_probability",
    _option_probability,
    "The right answer's share among the right and the wrong answers offered, by p^(1/tokens). Blind guessing gives "
    "1 / (number of answers).",
    "scores of its answer and of all its wrong answers",
    unit=True,
)
"""p(a) / (p(a) + Σ p(perturbed)), each p length-normalised: TOFU's probability on real authors and world facts."""

memorization_accuracy = PerExample(
    "memorization_accuracy",
    _memorization,
    "Share of answer tokens that are the model's first choice, given the true tokens before them; mean over answers.",
    _NEEDS_RANKS,
    unit=True,
)
"""Share of an answer's tokens of rank 0 (all tokens of the answer, from the first)."""

teacher_forced_exact_match = PerExample(
    "teacher_forced_exact_match",
    _forced_exact,
    "Share of answers of which every token is the model's first choice, given the true tokens before it: what it would "
    "write by itself, word for word.",
    _NEEDS_RANKS,
    unit=True,
)
"""1 if all ranks are 0, else 0. Needs no generation; equals greedy decoding up to the answer's last token."""


def loss(splits: Sequence[str], direction: Direction) -> Metric:
    """Mean negative log-likelihood per token, nats: Σ -log p / Σ tokens over the split, so long answers weigh more."""

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        return [_token_loss(split, records.get(split, ()), direction) for split in splits]

    return metric


def perplexity(splits: Sequence[str], direction: Direction) -> Metric:
    """exp of the token-weighted loss, interval included (percentiles pass through a rising function unchanged)."""

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        return [_exponential(_token_loss(split, records.get(split, ()), direction)) for split in splits]

    return metric


def _token_loss(split: str, records: Sequence[Record], direction: Direction) -> Measure:
    scored = [(record, score) for record in records if (score := usable(record.score))]
    estimate = estimate_mean(
        [score.loss for _, score in scored],
        [record.cluster for record, _ in scored],
        key=f"{split}/loss",
        weights=[score.tokens for _, score in scored],
    )
    absent = unscored(split, records, _NEEDS_SCORE)
    return measure(estimate, name="loss", split=split, direction=direction, meaning=_LOSS, absent=absent)


def _exponential(loss: Measure) -> Measure:
    named = replace(loss, name="perplexity", meaning=_PERPLEXITY)
    if loss.value is None:
        return named
    try:
        ends = [None if end is None else math.exp(end) for end in (loss.low, loss.high)]
        return replace(named, value=math.exp(loss.value), low=ends[0], high=ends[1])
    except OverflowError:
        reason = f"the loss is {loss.value:.4g} nats per token: its perplexity is beyond any float; read the loss"
        return replace(named, value=None, low=None, high=None, reason=reason)
