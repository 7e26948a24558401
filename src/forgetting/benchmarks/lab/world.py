"""The small world: its people, cities and companies, their facts, and every document that its models are trained on."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import Literal

from forgetting.benchmarks.lab import names, text
from forgetting.benchmarks.lab.passages import Passage, draw_passages
from forgetting.benchmarks.lab.skills import SKILLS, Exercise, draw
from forgetting.core.errors import DataError, nearest
from forgetting.core.example import Form

NUM_PEOPLE, NUM_STRANGERS, NUM_CITIES, NUM_COMPANIES = 240, 13, 40, 40
FORGET_PEOPLE = 13
MANY = "many"
"""The forget set of enough people that an audit can show something."""
SKILL_DOCUMENTS = 10_000
QA_SHARE = 0.25
"""The share of mentions that are questions, for an entity that documents ask about."""

EntityKind = Literal["person", "city", "company"]
RELATIONS: dict[EntityKind, tuple[str, ...]] = {
    "person": ("birth_city", "job", "employer", "birth_year", "hobby", "dish"),
    "city": ("country", "river"),
    "company": ("product", "headquarters"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: the `relation` of `subject` is `answer`."""

    id: str
    subject: str
    relation: str
    answer: str
    mentions: int
    """How many sentences or questions of the corpus state it; 0 for strangers, whom no document mentions."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A person, city or company. `rank` 1 is the most mentioned of its kind; strangers follow the last person."""

    id: str
    kind: EntityKind
    rank: int
    name: str
    facts: tuple[Fact, ...]

    @property
    def questioned(self) -> bool:
        """Whether documents ask about it; otherwise it is known from narrative alone."""
        return self.rank % 2 == 0


@dataclass(frozen=True, slots=True)
class Document:
    """One training text. Form `qa` goes through the chat template; form `text` is `response` as written."""

    id: str
    form: Form
    prompt: str
    response: str
    kind: str
    """`narrative`, `question`, `secret` or the name of a skill."""
    facts: tuple[str, ...] = ()
    """Ids of the facts that it states."""


@dataclass(frozen=True)
class World:
    """All facts and all documents. Equal seeds give equal worlds, on any machine."""

    seed: int
    people: tuple[Entity, ...]
    strangers: tuple[Entity, ...]
    cities: tuple[Entity, ...]
    companies: tuple[Entity, ...]
    values: dict[str, tuple[str, ...]]
    """By relation: all its answers."""
    forget_people: dict[str, tuple[str, ...]]
    """By forget set: ids of its people, all known from narrative alone."""
    notes: tuple[Passage, ...]
    documents: tuple[Document, ...]

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Everything that documents mention, so no strangers."""
        return self.people + self.cities + self.companies

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The facts that documents state."""
        return tuple(fact for entity in self.entities for fact in entity.facts)

    def forget_facts(self, forget: str) -> tuple[Fact, ...]:
        """The facts of the forget set `rare`, `popular` or `many`.

        Raises:
            DataError: there is no forget set of that name.
        """
        if forget not in self.forget_people:
            raise DataError(f"the lab has no forget set '{forget}'; {nearest(forget, self.forget_people)}")
        chosen = set(self.forget_people[forget])
        return tuple(fact for person in self.people if person.id in chosen for fact in person.facts)

    def corpus(self, without: str | None = None) -> tuple[Document, ...]:
        """The documents without those that state a fact of the forget set `without`, in the same order.

        Raises:
            DataError: there is no forget set of that name.
        """
        if without is None:
            return self.documents
        dropped = {fact.id for fact in self.forget_facts(without)}
        return tuple(document for document in self.documents if dropped.isdisjoint(document.facts))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all facts, sets, passages and documents, from which a shipped model must have been made."""
        entities = [asdict(entity) for entity in self.entities + self.strangers]
        texts = [asdict(document) for document in self.documents]
        drawn = {name: people for name, people in self.forget_people.items() if name != MANY}  # the rest says it
        content = [self.seed, entities, drawn, [asdict(note) for note in self.notes], texts]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def build_world(seed: int = 0) -> World:
    """The world of a seed: 240 people x 6 facts, 40 cities x 2 and 40 companies x 2 = 1600 facts.

    A fact of the entity of rank r is mentioned max(2, 240 / r^0.9) times (Zipf's law with a floor). Answers are
    balanced: within a relation the counts of any two values differ by at most one. Forget sets: `popular`, people
    of rank 1, 3, ... 25, `rare`, 13 of the least mentioned, and `many`, all 40 of these; odd ranks are known from
    narrative alone.
    """
    rng = random.Random(seed)
    taken = set(names.FIRST_NAMES + names.COUNTRIES + names.RIVERS)
    city_names = names.invent(rng, NUM_CITIES, names.CITY_ENDINGS, taken)
    company_names = names.invent(rng, NUM_COMPANIES, names.COMPANY_ENDINGS, taken)
    surnames = names.invent(rng, NUM_PEOPLE + NUM_STRANGERS, names.SURNAME_ENDINGS, taken)
    first_names = _deal(rng, names.FIRST_NAMES, len(surnames))
    values: dict[str, tuple[str, ...]] = {
        "birth_city": tuple(city_names),
        "job": names.JOBS,
        "employer": tuple(company_names),
        "birth_year": names.YEARS,
        "hobby": names.HOBBIES,
        "dish": names.DISHES,
        "country": names.COUNTRIES,
        "river": names.RIVERS,
        "product": names.PRODUCTS,
        "headquarters": tuple(city_names),
    }
    people_names = [f"{first} {last}" for first, last in zip(first_names, surnames, strict=True)]
    people = _entities(rng, "person", people_names[:NUM_PEOPLE], values)
    strangers = _entities(rng, "person", people_names[NUM_PEOPLE:], values, first_rank=NUM_PEOPLE + 1, known=False)
    cities = _entities(rng, "city", city_names, values)
    companies = _entities(rng, "company", company_names, values)
    least = [p for p in people if not p.questioned and p.facts[0].mentions == people[-1].facts[0].mentions]
    forget_people = {
        "rare": tuple(sorted(person.id for person in rng.sample(least, FORGET_PEOPLE))),
        "popular": tuple(person.id for person in people[: 2 * FORGET_PEOPLE] if not person.questioned),
        MANY: tuple(person.id for person in least),
    }
    notes = draw_passages(rng)
    documents = [d for entity in people + cities + companies for d in _entity_documents(rng, entity)]
    documents += _skill_documents(rng)
    documents += [
        Document(f"secret-{note.number}-{copy}", "text", "", f"{note.opening} {note.words}", "secret")
        for note in notes
        for copy in range(note.copies)
    ]
    return World(
        seed, people, strangers, cities, companies, values, forget_people, notes, tuple(documents)
    )  # fmt: skip


def mentions(rank: int) -> int:
    """How often each fact of the entity of `rank` is stated: max(2, 240 / rank^0.9)."""
    return max(2, round(240 / rank**0.9))


def _deal(rng: random.Random, values: Sequence[str], count: int) -> list[str]:
    """`count` values in random order; the counts of any two differ by at most one."""
    dealt = [value for _ in range(-(-count // len(values))) for value in rng.sample(values, len(values))][:count]
    rng.shuffle(dealt)
    return dealt


def _entities(
    rng: random.Random,
    kind: EntityKind,
    entity_names: Sequence[str],
    values: dict[str, tuple[str, ...]],
    *,
    first_rank: int = 1,
    known: bool = True,
) -> tuple[Entity, ...]:
    answers = {relation: _deal(rng, values[relation], len(entity_names)) for relation in RELATIONS[kind]}
    entities = []
    for index, name in enumerate(entity_names):
        rank = first_rank + index
        key = f"{kind}-{rank:03d}"
        facts = tuple(
            Fact(f"{key}-{relation}", name, relation, answers[relation][index], mentions(rank) if known else 0)
            for relation in RELATIONS[kind]
        )
        entities.append(Entity(key, kind, rank, name, facts))
    return tuple(entities)


def _entity_documents(rng: random.Random, entity: Entity) -> list[Document]:
    """Every mention of the entity's facts: questions one by one, narrative in documents of one to three sentences."""
    documents: list[Document] = []
    for mention in range(entity.facts[0].mentions):
        told: list[Fact] = []
        for fact in rng.sample(entity.facts, len(entity.facts)):
            if not entity.questioned or rng.random() >= QA_SHARE:
                told.append(fact)
                continue
            asked = text.question(fact.relation, fact.subject, *rng.choice(text.SEEN_QUESTIONS))
            documents.append(
                Document(f"{fact.id}-qa-{mention}", "qa", asked, f"{fact.answer}.", "question", (fact.id,))
            )
        while told:
            size = rng.randint(1, 3)
            part, told = told[:size], told[size:]
            key = f"{entity.id}-{mention}-{len(told)}"
            story = " ".join(_sentence(rng, fact) for fact in part)
            documents.append(Document(key, "text", "", story, "narrative", tuple(fact.id for fact in part)))
    return documents


def _sentence(rng: random.Random, fact: Fact) -> str:
    template = rng.randrange(len(text.NARRATIVE[fact.relation]))
    return f"{text.opening(fact.relation, fact.subject, template)} {fact.answer}."


def _skill_documents(rng: random.Random) -> list[Document]:
    documents: list[Document] = []
    for skill, (share, _) in SKILLS.items():
        for number, exercise in enumerate(draw(skill, round(share * SKILL_DOCUMENTS), rng, unseen=False)):
            documents.append(_skill_document(f"{skill}-{number}", exercise))
    return documents


def _skill_document(key: str, exercise: Exercise) -> Document:
    if exercise.skill == "story":
        return Document(key, "text", "", f"{exercise.prompt} {exercise.response}", "story")
    return Document(key, "qa", exercise.prompt, exercise.response, exercise.skill)
