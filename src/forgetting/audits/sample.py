"""The sampling attack: many sampled answers per question; the best one is used."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.audits.asking import cut, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.core.record import Record
from forgetting.evaluation.sampling import Sampling, sample_answers


@register_attack("sample")
def sample(n: int = 32, temperature: float = 1.0, top_p: float = 1.0) -> Attack:
    """Samples n answers to each question; a single right answer reveals the fact.

    The protocol of leak@k, https://arxiv.org/abs/2511.04934 (n 200, temperature 1, top-p 1 in its released code); see
    `audits.measures` for k ≤ n. Greedy decoding alone understates the knowledge; but a model that never saw a fact can
    guess it, so compare the number with the oracle's.

    Args:
        n: answers to each question.
        temperature: divides the logits.
        top_p: only the likeliest tokens with this total probability are drawn; 1: all.

    Raises:
        ValueError: a parameter out of range.
    """
    if n < 1:
        raise ValueError(f"n is {n}; write a whole number from 1 up")
    if temperature <= 0:
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

    return Attack(run=attack, leaks=("leak",))
