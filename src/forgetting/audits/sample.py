"""The attack that asks often: sampled answers, of which the best counts."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.core.record import Record
from forgetting.evaluation.sampling import Sampling, sample_answers


@register_attack("sample")
def sample(n: int = 32, temperature: float = 1.0, top_p: float = 1.0) -> Attack:
    """Each question answered n times by sampling; a single right answer gives the fact away.

    The protocol of leak@k, https://arxiv.org/abs/2511.04934 (n 200, temperature 1, top-p 1 in its released code); what
    n answers say of k ≤ n is in `audits.measures`. Greedy decoding alone understates what is known; but a model that
    never saw a fact guesses it too, so the number means something only beside the oracle's.

    Args:
        n: answers to each question.
        temperature: what the logits are divided by.
        top_p: only the likeliest tokens whose probabilities sum up to it are drawn; 1: all.

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
        return sample_answers(
            target.model,
            target.tokenizer,
            target.questions(),
            Sampling(n, temperature, top_p, target.seed, target.max_new_tokens),
            split=target.split,
            formatting=target.formatting,
            progress=target.voice.progress,
        )

    return attack
