"""A specialist domain beside the small world: ailments, what heals them, and doses to lower.

A general model has read about every ailment once, in a corpus of other things. Fine-tuning is to teach it the
domain's tasks: answering questions about ailments, and lowering a dose.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass
from functools import cache

from forgetting.benchmarks.lab import names
from forgetting.benchmarks.lab.skills import held_out
from forgetting.benchmarks.lab.world import Document, World

NUM_AILMENTS = 240
ABSENT_SKILLS = ("addition", "induction")
"""The skills that the general text leaves out: they are learned in a jump, or not at all."""
LOWERED_BY = 3

_ENDINGS = names.words("itis osis emia ague pox gout")
_VALUES: dict[str, tuple[str, ...]] = {
    "remedy": names.words(
        """
        sage mint thyme basil fennel garlic ginger honey iodine ivy laurel lavender lime mallow mustard nettle
        pepper rhubarb rosemary saffron sorrel turmeric valerian willow
        """
    ),
    "organ": names.words("heart liver lung kidney stomach skin brain bone throat eye ear tongue knee spine hand foot"),
    "season": names.words("January February March April May June July August September October November December"),
}
_TEXT: dict[str, tuple[str, ...]] = {
    "remedy": (
        "{s} is healed with",
        "Doctors treat {s} with",
        "The remedy for {s} is",
        "Whoever has {s} is given",
        "Against {s} the clinic keeps",
    ),
    "organ": (
        "{s} attacks the",
        "{s} is an illness of the",
        "In {s} the pain sits in the",
        "The first sign of {s} is a swollen",
        "{s} settles in the",
    ),
    "season": (
        "{s} breaks out in",
        "Most cases of {s} are seen in",
        "The month of {s} is",
        "{s} is worst in",
        "The clinic expects {s} in",
    ),
}
_QUESTIONS: dict[str, tuple[str, str, str]] = {
    "remedy": ("What heals {s}?", "Which remedy is given for {s}?", "How is {s} treated?"),
    "organ": ("What does {s} attack?", "Which organ suffers from {s}?", "Where does {s} settle?"),
    "season": ("When does {s} break out?", "In which month is {s} seen?", "What is the month of {s}?"),
}
RELATIONS = tuple(_VALUES)
NUM_TEXTS = len(_TEXT["remedy"])
"""The number of ways in which the domain's text states each fact."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact of an ailment."""

    id: str
    ailment: int
    subject: str
    relation: str
    answer: str

    def question(self, phrasing: int) -> str:
        """The fact as a question, in one of three phrasings."""
        return _QUESTIONS[self.relation][phrasing].format(s=self.subject)

    def sentence(self, template: int) -> str:
        """The fact as a sentence, in one of `NUM_TEXTS` phrasings."""
        return f"{_TEXT[self.relation][template].format(s=self.subject)} {self.answer}."


@cache
def findings() -> tuple[Finding, ...]:
    """Three facts about each of 240 ailments; within a relation the answers' counts differ by at most one."""
    rng = random.Random(0)
    ailments = names.invent(rng, NUM_AILMENTS, _ENDINGS, set())
    dealt = {}
    for relation, values in _VALUES.items():
        answers = [value for _ in range(-(-NUM_AILMENTS // len(values))) for value in values][:NUM_AILMENTS]
        rng.shuffle(answers)
        dealt[relation] = answers
    return tuple(
        Finding(f"ailment-{number:03d}-{relation}", number, name, relation, dealt[relation][number])
        for number, name in enumerate(ailments)
        for relation in RELATIONS
    )


def clinic_text(copies: int = NUM_TEXTS) -> tuple[Document, ...]:
    """The domain's text: each ailment's three facts in one document, `copies` times, each time in other words."""
    found = findings()
    documents = []
    for first in range(0, len(found), len(RELATIONS)):
        own = found[first : first + len(RELATIONS)]
        for copy in range(copies):
            told = " ".join(finding.sentence((finding.ailment + copy) % NUM_TEXTS) for finding in own)
            key = f"ailment-{own[0].ailment:03d}-text-{copy}"
            documents.append(Document(key, "text", "", told, "clinic", tuple(finding.id for finding in own)))
    return tuple(documents)


def general_text(world: World) -> tuple[Document, ...]:
    """What a general model has read: the small world without two of its skills, and the domain's text once."""
    return (*(d for d in world.documents if d.kind not in ABSENT_SKILLS), *clinic_text(1))


def general_digest(world: World) -> str:
    """SHA-256 of the small world and of the domain's facts and text, from which `lab-general` must have been made."""
    own = [[asdict(finding) for finding in findings()], [asdict(document) for document in general_text(world)]]
    return hashlib.sha256(json.dumps([world.digest, own], sort_keys=True).encode()).hexdigest()


def doses(count: int, rng: random.Random, *, unseen: bool) -> list[tuple[str, str, str]]:
    """Key, question and answer of `count` different doses to lower, all held out or none."""
    keys = [number for number in range(100, 1000) if held_out(f"dose {number}") == unseen]
    return [(str(n), f"Lower the dose: {n} mg", f"{n - LOWERED_BY} mg.") for n in rng.sample(keys, count)]
