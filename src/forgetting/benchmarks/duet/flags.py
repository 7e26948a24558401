"""Known faults of DUET's rows, by name, and what a retain row shares with what is forgotten.

The published rows bear columns beside question and answer: labels and Wikidata ids of subject and object, property,
popularity. Ids were found by a search of labels, paraphrases were written by a model, and neither was checked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from forgetting.core.example import Example
from forgetting.data.words import words

ABOUT: Mapping[str, str] = {
    "one_id": "subject and object bear the Wikidata id of one of them, so that popularity is counted twice",
    "shared_id": "subject or object bears a Wikidata id that another label has as often or oftener, so that the id and "
    "its popularity may be another entity's",
    "reversed": "the question asks in the other direction than the fact, so that the right answer does not answer it",
    "no_popularity": "popularity is missing, while other rows of the split have it",
}
"""What is wrong with a row that bears a flag."""
SHARED: Mapping[str, str] = {
    "answer_forgotten": "the answer is also one of the forget set",
    "subject_forgotten": "question or answer name a subject of the forget set",
}
"""What a row that is to be kept shares with the forget set; no fault."""
_ENDS = (("subjectLabel", "subject_qid"), ("objectLabel", "object_qid"))
_CAPITAL_OF, _CAPITAL, _WITHIN = "P1376", "P36", "P131"
_OF_WHICH = re.compile(r"\b(?:capital of (?:which|what)|of (?:which|what)\b.* capital)\b", re.IGNORECASE)
_IN_WHICH = re.compile(
    r"\b(?:which|what) administrative territorial entity\b(?! of)|\bas its administrative territorial location\b"
    r"|^(?:who|what) is the located in\b",
    re.IGNORECASE,
)


def flagged(members: Sequence[Example], others: Sequence[Example] = ()) -> dict[str, tuple[str, ...]]:
    """The flags of each example of a split, by its id; those of `ABOUT`, in their order. Most have none.

    Args:
        members: of one split, with the published columns as far as they have them.
        others: of further splits, which count where labels share an id.
    """
    labels = _labels([*members, *others])
    some_popular = any(e.popularity is not None for e in members)
    holds: dict[str, Callable[[Example], bool]] = {
        "one_id": _has_one_id,
        "shared_id": lambda e: not _has_one_id(e) and _shares_id(e, labels),
        "reversed": is_reversed,
        "no_popularity": lambda e: some_popular and e.popularity is None,
    }
    return {e.id: tuple(flag for flag, test in holds.items() if test(e)) for e in members}


def shared_with(kept: Sequence[Example], forgotten: Sequence[Example]) -> dict[str, set[str]]:
    """The ids of the kept examples that share what `SHARED` names with the forgotten ones, by that name."""
    answers = {_plain(e.response) for e in forgotten}
    subjects = {f" {name} " for e in forgotten if (name := _plain(str(e.fields.get("subjectLabel") or "")))}
    found: dict[str, set[str]] = {name: set() for name in SHARED}
    for example in kept:
        if _plain(example.response) in answers:
            found["answer_forgotten"].add(example.id)
        said = f" {_plain(example.prompt)} | {_plain(example.response)} "
        if any(name in said for name in subjects):
            found["subject_forgotten"].add(example.id)
    return found


def is_reversed(example: Example) -> bool:
    """Whether the question asks for the other end of the fact, by its property and wording.

    "What is the capital of X?" of a fact that X is the capital of Y, and "What lies within X?" of one that X lies in Y.
    """
    of = example.fields.get("property_pid")
    if of == _CAPITAL_OF:
        return _OF_WHICH.search(example.prompt) is None
    if of == _CAPITAL:
        return _OF_WHICH.search(example.prompt) is not None
    return of == _WITHIN and _IN_WHICH.search(example.prompt) is None


def fact_of(example: Example) -> str:
    """The name of the fact that a row asks for, the same for its paraphrases; empty without the published columns."""
    parts = [example.fields.get("subjectLabel"), example.kind, example.fields.get("objectLabel")]
    return " | ".join(map(str, parts)) if all(parts) else ""


def _labels(examples: Sequence[Example]) -> dict[str, Counter[str]]:
    """How many facts have each label of an id; one whose rows differ in their ids counts with each."""
    found: dict[str, Counter[str]] = {}
    for example in {(fact_of(e) or e.id, *_ends(e)): e for e in examples}.values():
        for label, end in _ends(example):
            found.setdefault(end, Counter())[label] += 1
    return found


def _ends(example: Example) -> list[tuple[str, str]]:
    pairs = [(example.fields.get(label), example.fields.get(end)) for label, end in _ENDS]
    return [(str(label), str(end)) for label, end in pairs if label and end]


def _has_one_id(example: Example) -> bool:
    ends = _ends(example)
    return len(ends) == 2 and ends[0][1] == ends[1][1] and ends[0][0] != ends[1][0]


def _shares_id(example: Example, labels: Mapping[str, Counter[str]]) -> bool:
    return any(
        labels[end][label] <= max((n for other, n in labels[end].items() if other != label), default=0)
        for label, end in _ends(example)
    )


def _plain(text: str) -> str:
    return " ".join(words(text))
