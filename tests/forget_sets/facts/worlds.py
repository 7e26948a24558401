"""Small worlds of facts for the tests of the builder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from forgetting.forget_sets.facts.fact import Entity, Fact
from forgetting.forget_sets.facts.known import Asked, Shown, as_question
from forgetting.forget_sets.facts.relations import load_relations

BUILT_IN = load_relations(None)


def fact(subject: str, relation: str, object: str, *, id: str = "", pop: float | None = None) -> Fact:
    known = {} if pop is None else {"views": pop}
    return Fact(Entity(subject, id, popularity=known), relation, Entity(object))


def asked(subject: str, relation: str, object: str, popularity: float) -> Asked:
    return as_question(fact(subject, relation, object), BUILT_IN, popularity)


class Clever:
    """Knows what it is told; says 'Nowhere' to anything else. Counts what it is asked."""

    def __init__(self, knows: Mapping[str, str], *, batch: int = 2, fails_after: int | None = None) -> None:
        self.knows, self.batch, self.fails_after = knows, batch, fails_after
        self.asked: list[str] = []
        self.about = {"model": "clever", "fingerprint": "1"}

    def answers(self, questions: Sequence[tuple[str, str]], shown: Sequence[Shown]) -> Iterator[dict[int, str]]:
        for begin in range(0, len(questions), self.batch):
            if self.fails_after is not None and len(self.asked) >= self.fails_after:
                raise KeyboardInterrupt
            some = range(begin, min(begin + self.batch, len(questions)))
            self.asked += [questions[i][0] for i in some]
            yield {i: self.knows.get(questions[i][0], "Nowhere") for i in some}
