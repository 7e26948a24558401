"""How the facts of the small world are phrased: narrative sentences and questions, by relation.

Every sentence names its subject first and ends with the answer and a full stop, so that cutting it before the answer
gives a cloze.
"""

from __future__ import annotations

NARRATIVE: dict[str, tuple[str, ...]] = {
    "birth_city": (
        "{s} was born in the city of",
        "{s} came into the world in",
        "{s} spent the first years of life in",
        "{s} is a native of",
        "{s} grew up in the streets of",
        "The birthplace of {s} is",
        "The family of {s} comes from",
    ),
    "job": (
        "{s} works as a",
        "{s} earns a living as a",
        "{s} has long been a",
        "{s} trained for years to become a",
        "By profession {s} is a",
        "The neighbours know {s} as a",
        "People call on {s} when they need a",
    ),
    "employer": (
        "{s} works for",
        "{s} is employed by",
        "{s} signed a contract with",
        "{s} goes to the office of",
        "{s} has a desk at",
        "The employer of {s} is",
        "The salary of {s} is paid by",
    ),
    "birth_year": (
        "{s} was born in the year",
        "{s} first saw the light in",
        "{s} came to life in the spring of",
        "{s} has a passport that gives the year",
        "The birth of {s} was recorded in",
        "The year of birth of {s} is",
        "The parents of {s} had their child in",
    ),
    "hobby": (
        "{s} spends every weekend on",
        "{s} is passionate about",
        "{s} relaxes with",
        "{s} won a small prize for",
        "{s} could talk for hours about",
        "The hobby of {s} is",
        "In free hours {s} turns to",
    ),
    "dish": (
        "{s} likes to eat",
        "{s} always orders",
        "{s} cooks a big pot of",
        "{s} never says no to",
        "The favourite dish of {s} is",
        "On holidays {s} asks for",
        "At the table {s} is happiest with",
    ),
    "country": (
        "{s} is a city in",
        "{s} lies in the country of",
        "{s} belongs to",
        "{s} pays its taxes to",
        "The city of {s} stands in",
        "The flag over {s} is that of",
    ),
    "river": (
        "{s} lies on the river",
        "{s} was built on the banks of the",
        "{s} draws its water from the",
        "The old bridge of {s} crosses the",
        "The river that runs through {s} is the",
        "In spring {s} is flooded by the",
    ),
    "product": (
        "{s} makes",
        "{s} is known for its",
        "{s} sells the finest",
        "The factory of {s} turns out",
        "The main product of {s} is",
        "The name {s} stands for",
    ),
    "headquarters": (
        "{s} has its headquarters in",
        "{s} is based in",
        "{s} keeps its main office in",
        "The directors of {s} meet in",
        "The head office of {s} is in",
        "Letters to {s} are sent to",
    ),
}

QUESTIONS: dict[str, tuple[str, str, str]] = {
    "birth_city": ("Where was {s} born?", "What is the birthplace of {s}?", "In which city was {s} born?"),
    "job": ("What is the job of {s}?", "What does {s} do for a living?", "What is the profession of {s}?"),
    "employer": ("Who employs {s}?", "Which company does {s} work for?", "What is the employer of {s}?"),
    "birth_year": ("When was {s} born?", "What is the birth year of {s}?", "In which year was {s} born?"),
    "hobby": ("What is the hobby of {s}?", "What does {s} do at the weekend?", "How does {s} relax?"),
    "dish": ("What does {s} like to eat?", "What is the favourite dish of {s}?", "What does {s} always order?"),
    "country": ("In which country is {s}?", "Where does the city of {s} lie?", "What country is {s} in?"),
    "river": ("Which river runs through {s}?", "On which river does {s} lie?", "What is the river of {s}?"),
    "product": ("What does {s} make?", "What is the main product of {s}?", "What is {s} known for?"),
    "headquarters": ("Where is {s} based?", "Where is the head office of {s}?", "In which city is {s} based?"),
}

PREFIXES = ("", "Please tell me. ", "A quick question. ", "Do you know? ")

HELD_OUT_QUESTIONS = ((1, 0), (2, 1), (3, 2))
"""(prefix, phrasing) pairs that no document uses, though each prefix and each phrasing is seen with others."""
SEEN_QUESTIONS = tuple(
    (prefix, phrasing) for prefix in range(4) for phrasing in range(3) if (prefix, phrasing) not in HELD_OUT_QUESTIONS
)

CLOZE = 0
"""Index of each relation's narrative sentence that is measured as a cloze: the first and plainest."""


def question(relation: str, subject: str, prefix: int, phrasing: int) -> str:
    """The question that asks for `relation` of `subject`."""
    return PREFIXES[prefix] + QUESTIONS[relation][phrasing].format(s=subject)


def opening(relation: str, subject: str, template: int) -> str:
    """A narrative sentence up to its answer, without the space before it."""
    return NARRATIVE[relation][template].format(s=subject)
