"""The in-context attack: each question follows a few questions with their answers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from forgetting.audits.asking import answers, plain, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.core.errors import DataError
from forgetting.core.example import Example, Message, Role
from forgetting.core.record import Record
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.metrics.text import normalized
from forgetting.models.head import longest_row


@register_attack("context")
def context(shots: int = 5, draws: int = 3) -> Attack:
    """Asks each question after some questions and answers to keep, drawn by the seed; several draws.

    In-context examples recover what instruction alone does not (RWKU, https://arxiv.org/abs/2406.10890, uses them
    among its adversarial prompts). Shown examples are never from the forget set or the question's own group, and never
    contain the right answer, so nothing is taught. The likelihood of the right answer is measured after the same
    prompt.

    Args:
        shots: questions shown before each; fewer if the model has no positions left.
        draws: how often each question is asked, each time after other questions.

    Raises:
        ValueError: a parameter below 1.
        DataError: when it runs: there is nothing to show.
    """
    if shots < 1 or draws < 1:
        raise ValueError(f"shots is {shots} and draws is {draws}; write whole numbers from 1 up")

    def attack(target: Target) -> Sequence[Record]:
        asked, pool = questions(target), questions(target, target.retain)
        if target.split == Role.FORGET and not any(_to_show(example, pool) for example in asked):
            raise DataError(
                "the run has no retain data in the form of its forget data, and this attack shows them; leave it out"
            )
        records: list[Record] = []
        for draw in range(draws):
            shown = [_after_shots(example, pool, target, shots, draw) for example in asked]
            records += answers(target, shown)
        return records

    return Attack(run=attack)


def _after_shots(example: Example, retain: Sequence[Example], target: Target, shots: int, draw: int) -> Example:
    """The example with as many shots before it as fit."""
    bare, pool = plain(example), _to_show(example, retain)
    drawn = random.Random(f"{target.seed}/{example.id}/{draw}").sample(pool, min(shots, len(pool)))
    for count in range(len(drawn), 0, -1):
        shown = _shown(bare, drawn[:count], target)
        if _fits(shown, target):
            return shown
    return bare


def _to_show(example: Example, retain: Sequence[Example]) -> list[Example]:
    """The examples of its form that are neither of its group nor have its answer."""
    own = normalized(example.response)
    return [
        e for e in retain if e.form == example.form and e.cluster != example.cluster and normalized(e.response) != own
    ]


def _fits(example: Example, target: Target) -> bool:
    """Whether the right answer is not truncated, and the model has room to answer."""
    row = encode(example, target.tokenizer, target.formatting)
    positions = longest_row(target.model)
    needed = len(row.prompt_ids) + max(row.supervised, target.max_new_tokens or 0)
    return not row.truncated and (positions is None or needed <= positions)


def _shown(example: Example, shots: Iterable[Example], target: Target) -> Example:
    """Adds the shots: as earlier turns with a chat template, else as text before the question."""
    if example.form == "text":
        before = "".join(f"{s.prompt}{s.response}{target.formatting.separator}" for s in shots)
        return replace(example, prompt=before + example.prompt)
    if _has_turns(target):
        turns = [m for s in shots for m in (Message("user", s.prompt), Message("assistant", s.response))]
        head = [m for m in example.context if m.role == "system"]
        return replace(example, context=(*head, *turns, *(m for m in example.context if m.role != "system")))
    return replace(example, prompt=_as_text([*shots, example], target.formatting))


def _has_turns(target: Target) -> bool:
    return not target.formatting.is_plain(target.tokenizer)


def _as_text(examples: Sequence[Example], formatting: Formatting) -> str:
    """A prompt that the plain template formats to all of these, the last one without its answer."""
    head, _, tail = formatting.plain.partition("{prompt}")
    *shots, last = examples
    after = f"{formatting.separator}{head}"
    return "".join(f"{s.prompt}{tail}{formatting.prefix}{s.response.strip()}{after}" for s in shots) + last.prompt
