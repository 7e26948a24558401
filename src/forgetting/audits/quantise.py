"""The quantisation attack: each question asked of the model with its weights rounded to a few bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetting.audits.asking import answers, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.audits.whole_copy import whole_copy
from forgetting.core.errors import nearest
from forgetting.core.record import Record
from forgetting.models.rounding import ROUNDINGS, round_weights

EVERY = tuple(ROUNDINGS)


@register_attack("quantise")
def quantise(to: str = "int8 nf4") -> Attack:
    """Rounds a copy's weights to 8 or 4 bits and asks: a change smaller than the rounding is undone by it.

    Zhang et al. 2024, https://arxiv.org/abs/2410.16454 (4 bits there are FP4). The oracle is rounded alike, since
    rounding alone costs knowledge. Takes the memory of a second model.

    Args:
        to: names in a line: int8 (by row), int4 (by 32 weights), nf4, fp4 (by 64 weights).

    Raises:
        ValueError: another name.
    """
    names = list(dict.fromkeys(to.replace(",", " ").split()))
    for name in names:
        if name not in ROUNDINGS:
            raise ValueError(f"to names '{name}'; {nearest(name, ROUNDINGS)}")
    if not names:
        raise ValueError(f"to names no rounding; write some of {', '.join(ROUNDINGS)}")

    def attack(target: Target) -> Sequence[Record]:
        records: list[Record] = []
        for name in names:
            model = whole_copy(target.model)
            round_weights(model, ROUNDINGS[name])
            rounded = replace(target, model=model)
            records += answers(rounded, questions(rounded), attempt=name)
        return records

    return Attack(run=attack)
