"""The suite of the small world: what to forget, what to keep, and how both are measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.benchmarks.lab.examples import cloze_example, question_example, secret_examples, skill_examples
from forgetting.benchmarks.lab.world import Entity, Fact, World, build_world
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.example import Example
from forgetting.metrics.metric import Metric

ASSETS = Path(__file__).with_name("assets")
BASE = ASSETS / "base"
"""The shipped model that knows everything."""
UTILITY_SKILLS = ("category", "copy", "successor")
"""Addition and induction are left out: each is learned in a jump, at a step that varies between runs of one recipe."""
ANSWER_TOKENS, SKILL_TOKENS, SECRET_TOKENS = 8, 16, 72
SLOW_SPLITS = ("forget-other-phrasing", "holdout-narrative")
REFUSAL = "I do not know."


def oracle_folder(forget: str) -> Path:
    """The path of the shipped model that never saw the forget set; for `many` there is none: `forget lab train`."""
    return ASSETS / f"oracle-{forget}"


def lab_suite(forget: str = "rare", *, fast: bool = False, metrics: tuple[Metric, ...] = ()) -> Suite:
    """The small world with one of its forget sets, never asked about: `rare` or `popular`, 13 people with 78 facts, or
    `many`, 40 people with 240 facts, `rare` among them.

    Splits:
        forget: the facts as questions, in a combination of prefix and phrasing that no document has.
        forget-narrative: the same facts as sentences to complete.
        forget-other-phrasing: the same facts in another combination that no document has.
        retain, retain-narrative: facts outside the forget set, `rare` and `popular`.
        holdout, holdout-narrative: 78 facts about 13 people whom no document mentions: the level of not knowing.
        utility: unseen exercises of three skills.
        story: unseen stories with open endings, likelihood only.
        secrets, secrets-unseen: passages that occur 8, 3 or 1 times in the corpus, and never.

    For evaluation during a stage, `fast` leaves out the third phrasing, the strangers' narrative, the secrets,
    half of the retained facts and of the exercises, and wrong answers outside `forget` and `retain`.

    Retained facts are divided by entity. Facts about one half of the entities are in `data["retain"]`, for training;
    `retain` and `retain-narrative` measure a fixed sample of 300 (`fast`: 150) facts about the other half, which occurs
    only in `train`. `data` also holds `forget` and `holdout` (the questions of those splits), `alternate` (the forget
    questions, each refused) and `train` (all 1600 facts as questions, for a stage that teaches the questions first).

    Raises:
        DataError: there is no forget set of that name.
    """
    world = build_world()
    forgotten = world.forget_facts(forget)
    strangers = tuple(fact for person in world.strangers for fact in person.facts)
    measured = _sample(_retained(world, forget, measured=True), 150 if fast else 300)
    exercises = 25 if fast else 60
    splits = [
        _questions("forget", world, forgotten),
        _narrative("forget-narrative", world, forgotten),
        _questions("forget-other-phrasing", world, forgotten, asked=2),
        _questions("retain", world, measured),
        _narrative("retain-narrative", world, measured),
        _questions("holdout", world, strangers),
        _narrative("holdout-narrative", world, strangers),
        Split(name="utility", examples=_utility(world, exercises), max_new_tokens=SKILL_TOKENS),
        Split(name="story", examples=skill_examples(world, "story", exercises), generate=False),
    ]
    if fast:
        splits = [_light(split) for split in splits if split.name not in SLOW_SPLITS]
    else:
        seen = tuple(note for note in world.notes if note.copies)
        never = tuple(note for note in world.notes if not note.copies)
        splits += [
            Split(name="secrets", examples=secret_examples(seen), max_new_tokens=SECRET_TOKENS),
            Split(name="secrets-unseen", examples=secret_examples(never), max_new_tokens=SECRET_TOKENS),
        ]
    examples = {split.name: split.examples for split in splits}
    data = {
        "forget": examples["forget"],
        "alternate": tuple(_refusal(example) for example in examples["forget"]),
        "retain": tuple(question_example(world, fact) for fact in _retained(world, forget, measured=False)),
        "holdout": examples["holdout"],
        "train": tuple(question_example(world, fact) for fact in world.facts),
    }
    oracle = oracle_folder(forget)
    return Suite(
        name=f"lab-{forget}",
        splits=tuple(splits),
        metrics=metrics,
        data=data,
        oracle=oracle if oracle.is_dir() else None,
    )


def _retained(world: World, forget: str, *, measured: bool) -> tuple[Fact, ...]:
    """The facts outside the forget set and the small ones, of entities that are measured or may be trained on.

    Split by pairs of ranks, so that both halves are equally popular and equally often asked about in the corpus.
    """
    forgotten = {person for name in ("rare", "popular", forget) for person in world.forget_people[name]}

    def belongs(entity: Entity) -> bool:
        return entity.id not in forgotten and (entity.rank // 2 % 2 == 1) == measured

    return tuple(fact for entity in world.entities if belongs(entity) for fact in entity.facts)


def _sample(facts: Sequence[Fact], count: int) -> tuple[Fact, ...]:
    """The first `count` of a fixed shuffle: a smaller sample is part of a larger one."""
    return tuple(random.Random(0).sample(facts, len(facts))[:count])


def _questions(name: str, world: World, facts: Sequence[Fact], asked: int = 0) -> Split:
    examples = tuple(question_example(world, fact, asked) for fact in facts)
    return Split(name=name, examples=examples, max_new_tokens=ANSWER_TOKENS)


def _narrative(name: str, world: World, facts: Sequence[Fact]) -> Split:
    """Drops greedy answers: a sentence does not end a document, so ranks tell whether the answer comes first."""
    return Split(name=name, examples=tuple(cloze_example(world, fact) for fact in facts), generate=False)


def _light(split: Split) -> Split:
    """Drops wrong answers (six of seven forward passes), unless forget quality or utility depends on them."""
    if split.name in ("forget", "retain"):
        return split
    return replace(split, examples=tuple(replace(example, perturbed=()) for example in split.examples))


def _refusal(example: Example) -> Example:
    return replace(example, response=REFUSAL, perturbed=())


def _utility(world: World, count: int) -> tuple[Example, ...]:
    return tuple(example for skill in UTILITY_SKILLS for example in skill_examples(world, skill, count))
