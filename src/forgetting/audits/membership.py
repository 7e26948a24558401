"""The membership attack: whether forgotten texts still look more seen than unseen texts of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.core.record import Record
from forgetting.evaluation.membership import membership_records
from forgetting.metrics.membership.measures import membership_measures
from forgetting.metrics.membership.scores import LOSS, REFERENCE, Reading


@register_attack("membership")
def membership(k: float = 0.2, gradients: bool = True, reading: Reading = "whole") -> Attack:
    """Scores every text by LOSS, zlib, Min-K%, Min-K%++, Reference and GradNorm, and compares with unseen texts.

    Members are the forgotten texts and, to see whether a score tells anything of this model, the kept ones. Unseen
    texts are the run's holdout examples of the same kind; without them nothing is measured. Reference is the loss less
    that of the model before. What a score tells of the model after is to be compared with the oracle.

    Args:
        k: the share of the least likely tokens that Min-K% and Min-K%++ average.
        gradients: whether GradNorm is taken, which costs a pass forward and back for each text.
        reading: which tokens count; see `metrics.membership.scores`. `open_unlearning` leaves out the last one in
            Min-K%, Min-K%++ and GradNorm, as its code does.

    Raises:
        ValueError: a parameter out of range.
    """
    if not 0 < k <= 1:
        raise ValueError(f"k is {k}; write a share above 0, at most 1")
    if reading not in get_args(Reading):
        raise ValueError(f"reading is {reading!r}; write one of {', '.join(get_args(Reading))}")

    def attack(target: Target) -> Sequence[Record]:
        found = membership_records(
            target.model,
            target.tokenizer,
            target.examples,
            split=target.split,
            formatting=target.formatting,
            ks=(k,),
            reading=reading,
            gradients=gradients,
            voice=target.voice,
        )
        return _with_reference(found, target.before)

    return Attack(run=attack, measures=membership_measures, leaks=())


def _with_reference(records: Sequence[Record], before: Sequence[Record]) -> Sequence[Record]:
    """The records with their loss less that of the model before, of the same texts in the same order."""
    if not before:
        return records
    return [
        replace(now, values={**now.values, REFERENCE: now.values[LOSS] - then.values[LOSS]})
        if LOSS in now.values and LOSS in then.values
        else now
        for now, then in zip(records, before, strict=True)
    ]
