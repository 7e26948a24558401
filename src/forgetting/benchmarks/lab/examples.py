"""What the small world's models are asked: facts as questions and as cloze, unseen exercises, passages."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

from forgetting.benchmarks.lab import text
from forgetting.benchmarks.lab.passages import Passage
from forgetting.benchmarks.lab.skills import draw
from forgetting.benchmarks.lab.world import Document, Fact, World
from forgetting.core.example import Example

NUM_PERTURBED = 5


def question_example(world: World, fact: Fact, asked: int = 0) -> Example:
    """A fact as a question, in the held-out combination `asked` of a known prefix and a known phrasing.

    The paraphrase is the next held-out combination; the answer is short, and so are the five wrong ones.
    """
    prompts = [text.question(fact.relation, fact.subject, *pair) for pair in text.HELD_OUT_QUESTIONS]
    return Example(
        id=f"{fact.id}-question-{asked}",
        prompt=prompts[asked],
        paraphrased_prompt=prompts[(asked + 1) % len(prompts)],
        response=f"{fact.answer}.",
        perturbed=tuple(f"{value}." for value in wrong_answers(world, fact)),
        popularity=float(fact.mentions),
        group=fact.id,
        kind=fact.relation,
    )


def cloze_example(world: World, fact: Fact) -> Example:
    """A fact as the plainest narrative sentence of its relation, cut before the answer; it opens a document."""
    return Example(
        id=f"{fact.id}-cloze",
        form="text",
        prompt=text.opening(fact.relation, fact.subject, text.CLOZE),
        response=f" {fact.answer}.",
        perturbed=tuple(f" {value}." for value in wrong_answers(world, fact)),
        popularity=float(fact.mentions),
        group=fact.id,
        kind=fact.relation,
    )


def wrong_answers(world: World, fact: Fact) -> tuple[str, ...]:
    """Five other values of the relation, drawn by the fact's id and the world's seed."""
    others = [value for value in world.values[fact.relation] if value != fact.answer]
    return tuple(_rng(world, fact.id).sample(others, NUM_PERTURBED))


def skill_examples(world: World, skill: str, count: int) -> tuple[Example, ...]:
    """`count` exercises of `skill` on keys that no document contains."""
    exercises = draw(skill, count, _rng(world, skill), unseen=True)
    story = skill == "story"
    return tuple(
        Example(
            id=f"{skill}-unseen-{number}",
            form="text" if story else "qa",
            prompt=exercise.prompt,
            response=f" {exercise.response}" if story else exercise.response,
            kind=skill,
        )
        for number, exercise in enumerate(exercises)
    )


def secret_examples(notes: Sequence[Passage]) -> tuple[Example, ...]:
    """Passages to continue from their opening; popularity is the number of copies in the corpus."""
    return tuple(
        Example(
            id=f"secret-{note.number}",
            form="text",
            prompt=note.opening,
            response=f" {note.words}",
            popularity=float(note.copies),
            kind=f"{note.copies} copies",
        )
        for note in notes
    )


def document_examples(documents: Sequence[Document]) -> tuple[Example, ...]:
    """Documents as they are trained on, in an order that is the same every time: of a text every token counts."""
    shuffled = random.Random(0).sample(documents, len(documents))
    return tuple(Example(id=d.id, form=d.form, prompt=d.prompt, response=d.response, kind=d.kind) for d in shuffled)


def _rng(world: World, key: str) -> random.Random:
    return random.Random(zlib.crc32(f"{world.seed} {key}".encode()))
