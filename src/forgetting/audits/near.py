"""What lies beside the forgotten facts: whether the model still knows it. A gate, not an attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forgetting.audits.asking import answers, questions
from forgetting.audits.attack import Attack, Target
from forgetting.audits.registry import register_attack
from forgetting.audits.subjects import subjects_of
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.breakdown import by_group
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean
from forgetting.metrics.text import exact_match, normalized

ABOUT: Mapping[str, str] = {
    "same subject": "Only facts to keep about a subject of the forget set.",
    "same answer": "Only facts to keep whose answer is also one of the forget set, about other subjects.",
    "same relation": "Only facts to keep of a relation of the forget set, with other subjects and answers.",
    "far": "Only facts to keep that share no subject, answer or relation with the forget set.",
}
"""How a fact to keep lies to the forget set, nearest first; a fact counts for the first that is so."""


@register_attack("near")
def near() -> Attack:
    """Asks for facts to keep by what they share with the forget set: the subject, the answer, the relation, nothing.

    What is forgotten beside the forget set shows as a fall from before to after that is larger the nearer a fact is.
    The relation is the row's kind.
    """

    def attack(target: Target) -> Sequence[Record]:
        places = near_by(target.examples, target.others.get(Role.FORGET, ()))
        asked = questions(target)
        records: list[Record] = []
        for place in ABOUT:
            records += answers(target, [e for e in asked if places[e.id] == place], attempt=place)
        return records

    return Attack(run=attack, measures=near_measures, leaks=(), splits=(Role.RETAIN,))


def near_by(kept: Sequence[Example], forgotten: Sequence[Example]) -> dict[str, str]:
    """How each fact to keep lies to the forget set, by its id: a key of `ABOUT`."""
    subjects = subjects_of([*forgotten, *kept])
    own = {subjects[e.id] for e in forgotten}
    replies = {_said(e) for e in forgotten if not e.is_document}
    kinds = {e.kind for e in forgotten if e.kind}
    return {
        e.id: "same subject"
        if subjects[e.id] in own
        else "same answer"
        if not e.is_document and _said(e) in replies
        else "same relation"
        if e.kind in kinds
        else "far"
        for e in kept
    }


def near_measures(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """Exact match and probability of the facts to keep, by how they lie to the forget set."""
    found: list[Measure] = []
    for split, some in records.items():
        groups = {place: [r.id for r in some if r.attempt == place] for place in ABOUT}
        for what in (exact_match, probability):
            found += by_group(mean(what, [split], "up"), groups, ABOUT)({split: some}, None)
    return found


def _said(example: Example) -> str:
    return normalized(example.response)
