"""The plainest attack: each question once, answered greedily."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.audits.asking import answers, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.core.record import Record


@register_attack("greedy")
def greedy() -> Attack:
    """Asks each question once as it is; a document is to be continued from its beginning."""
    return Attack(run=once)


def once(target: Target) -> Sequence[Record]:
    """Every question once, as it is."""
    return answers(target, questions(target))
