"""Fine-tuning the small world's model on new tasks whose answers are partly wrong, and measuring it on clean ones.

The base knows the facts, but has never been asked in these words, has never given two facts in one answer and cannot
do these exercises. So clean answers teach it all three, and wrong ones teach it wrong facts and habits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import permutations

from forgetting.benchmarks.lab.examples import question_example
from forgetting.benchmarks.lab.skills import draw
from forgetting.benchmarks.lab.world import Entity, Fact, World, build_world
from forgetting.benchmarks.registry import register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.declaration import Declaration, Headline
from forgetting.core.errors import RecipeError
from forgetting.core.example import Example
from forgetting.data.noise import corrupted
from forgetting.metrics.breakdown import by_kind
from forgetting.metrics.likelihood import probability
from forgetting.metrics.per_example import mean
from forgetting.metrics.text import exact_match
from forgetting.metrics.utility import Part, harmonic_mean

SHARE = 0.2
"""The default share of training answers that are corrupted; the variant overrides it."""
TRAINED = {"phrasing": 1200, "portrait": 1600, "exercises": 400}
MEASURED = {"phrasing": 200, "portrait": 150, "exercises": 50, "known": 200}
"""Examples per task; for the exercises, per exercise."""
TASKS = ("phrasing", "portrait", "exercises")

PHRASINGS: dict[str, tuple[str, str]] = {
    "birth_city": ("Name the city where {s} was born.", "{s}, birthplace?"),
    "job": ("Name the profession of {s}.", "{s}, job?"),
    "employer": ("Name the company that {s} works for.", "{s}, employer?"),
    "birth_year": ("Name the year in which {s} was born.", "{s}, birth year?"),
    "hobby": ("Name the hobby of {s}.", "{s}, hobby?"),
    "dish": ("Name the favourite dish of {s}.", "{s}, dish?"),
    "country": ("Name the country in which {s} lies.", "{s}, country?"),
    "river": ("Name the river of {s}.", "{s}, river?"),
    "product": ("Name the main product of {s}.", "{s}, product?"),
    "headquarters": ("Name the city in which {s} is based.", "{s}, head office?"),
}
"""Question phrasings that the base has never seen."""
_NAMES = {
    "birth_city": "birthplace",
    "birth_year": "birth year",
    "headquarters": "head office",
}
_EXERCISES: dict[str, tuple[str, Callable[[str], tuple[str, str]]]] = {
    "predecessor": ("successor", lambda key: (f"Before: {key}", f"{int(key) - 1}.")),
    "reverse": ("copy", lambda key: (f"Reverse: {key}", f"{' '.join(reversed(key.split()))}.")),
    "ends": ("copy", lambda key: (f"Ends: {key}", f"{key.split()[0]} {key.split()[-1]}.")),
}
"""New tasks: the skill whose keys they use (a tenth is held out), and the question and answer for a key."""


@register_suite("lab-noisy")
def noisy_variant(variant: str, fast: bool) -> Suite:
    """Fine-tuning the lab's model on new tasks with a known share of wrong answers: lab-noisy, lab-noisy:0.4.

    `data["train"]`: 4000 questions about one half of the world's entities, and exercises; a share of the answers (0.2
    by default) is corrupted in the three ways of `data.noise`, and the field `noise` marks where.

    Splits, all clean; all but `exercises` about the other half of the entities:
        phrasing: facts, asked in words that are new to the base.
        portrait: two facts in one answer.
        exercises: three exercises that are new to the base, on keys that were not trained on.
        known: facts, asked as in the base's own corpus, which fine-tuning may damage.

    `fast` measures the first half of each.

    Raises:
        RecipeError: the variant is not a number from 0 to 1.
    """
    share = _share(variant)
    world = build_world()
    trained = _tasks(world, [e for e in world.entities if not _is_measured(e)], TRAINED, unseen=False)
    measured = _tasks(world, [e for e in world.entities if _is_measured(e)], MEASURED, unseen=True)
    corpus = [example for task in TASKS for example in trained[task]]
    random.Random(0).shuffle(corpus)
    splits = [Split(name=name, examples=_half(found) if fast else found) for name, found in measured.items()]
    kept = tuple(measured)
    columns = (("all/task_score",), *((f"{split}/exact_match",) for split in kept))
    return Suite(
        name=f"lab-noisy:{share:g}",
        splits=tuple(splits),
        metrics=(
            mean(exact_match, kept, "up"),
            mean(probability, kept, "up"),
            by_kind(mean(exact_match, ("exercises",), "up")),
            harmonic_mean(
                "task_score",
                [Part(task, exact_match) for task in TASKS],
                "How well the new tasks were learnt: harmonic mean of exact match on phrasing, portrait and exercises.",
            ),
        ),
        data={"train": tuple(corrupted(corpus, share=share, seed=0))},
        declares=Declaration(headline=Headline(others=columns), alarm=("known/probability",)),
    )


def _share(variant: str) -> float:
    try:
        share = float(variant or SHARE)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise RecipeError(f"lab-noisy:{variant}: '{variant}' is no share of wrong answers; write lab-noisy:0.4")
    return share


def _is_measured(entity: Entity) -> bool:
    """Split by pairs of ranks, so that both halves are equally popular and equally often asked about in the corpus."""
    return entity.rank // 2 % 2 == 1


def _tasks(
    world: World, entities: Sequence[Entity], counts: dict[str, int], *, unseen: bool
) -> dict[str, tuple[Example, ...]]:
    """A fixed sample of each task that `counts` names."""
    rng = random.Random(int(unseen))
    facts = [fact for entity in entities for fact in entity.facts]
    asked = {
        "phrasing": [_phrased(fact, number) for fact in facts for number in range(2)],
        "portrait": [_portrait(e, *pair) for e in entities for pair in permutations(e.facts, 2)],
        "known": [question_example(world, fact) for fact in facts],
    }
    found = {name: tuple(rng.sample(asked[name], counts[name])) for name in asked if name in counts}
    exercises = (e for name in _EXERCISES for e in _exercises(name, counts["exercises"], rng, unseen=unseen))
    return found | {"exercises": tuple(exercises)}


def _phrased(fact: Fact, number: int) -> Example:
    return Example(
        id=f"{fact.id}-phrasing-{number}",
        prompt=PHRASINGS[fact.relation][number].format(s=fact.subject),
        response=f"{fact.answer}.",
        popularity=float(fact.mentions),
        group=fact.id,
        kind=fact.relation,
    )


def _portrait(entity: Entity, first: Fact, second: Fact) -> Example:
    """Two facts in one answer; its kind is that of the second, so a wrong ending is another value of that relation."""
    names = [_NAMES.get(fact.relation, fact.relation) for fact in (first, second)]
    return Example(
        id=f"{entity.id}-portrait-{first.relation}-{second.relation}",
        prompt=f"Tell me the {names[0]} and the {names[1]} of {entity.name}.",
        response=f"The {names[0]} is {first.answer}. The {names[1]} is {second.answer}.",
        popularity=float(first.mentions),
        group=entity.id,
        kind=f"portrait, {second.relation}",
    )


def _exercises(name: str, count: int, rng: random.Random, *, unseen: bool) -> Iterable[Example]:
    """Exercises of different keys, all held out or none."""
    skill, ask = _EXERCISES[name]
    drawn = draw(skill, count if unseen else 4 * count, rng, unseen=unseen)
    for key in list(dict.fromkeys(exercise.key for exercise in drawn))[:count]:
        prompt, response = ask(key)
        yield Example(id=f"{name}-{key}", prompt=prompt, response=response, kind=name)


def _half(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    return examples[::2]
