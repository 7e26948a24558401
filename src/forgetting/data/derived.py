"""Rows that a model wrote: how it is asked for them, and which of its answers are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from forgetting.core.example import Example, content_id
from forgetting.data.duplicates import Seen, jaccard, shingles
from forgetting.data.mentions import Finder
from forgetting.data.row_words import Words
from forgetting.data.word_lists import FUNCTION_WORDS
from forgetting.data.words import first_pieces, pieces

FIELD = "derived"
"""The column with the author of a row, how it was written, and from what."""
OPENINGS = (
    "",
    "The",
    "In the",
    "There is",
    "A",
    "This is",
    "Many people",
    "When",
    "It was",
    "One of the",
    "At the beginning of",
    "How to",
    "According to",
    "Every day",
    "For example,",
    "The history of",
    "Once upon a time",
    "To make",
    "Some of",
    "We",
    "In recent years,",
    "The most important",
    "After",
    "Although",
)
"""How general text begins; the empty one leaves everything to the model."""
LEAST_WORDS = 8
OPENING_WORDS = 12
_END = re.compile(r"[.!?…؟।][\"'”’»)\]]*(?=\s|$)|[。！？][”’」』）]*")
"""The end of a sentence."""
SUPPORTED, KEPT = 0.5, 0.3
NEAR = 0.8


@dataclass
class Kept:
    """The rows of a kind, and why others were left out."""

    rows: list[dict[str, object]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, why: str) -> None:
        """Counts one that is left out."""
        self.dropped[why] = self.dropped.get(why, 0) + 1


def openings_of(texts: Iterable[Example]) -> list[str]:
    """The first words of texts that are not to be forgotten, for the model to go on from."""
    return list(dict.fromkeys(first_pieces(e.prompt or e.response, OPENING_WORDS) for e in texts))


class Retained:
    """Texts beside a forget set: none repeats another, and none tells of what is to be forgotten."""

    def __init__(self, forget: Sequence[Example]) -> None:
        self._seen = Seen(NEAR)
        for example in forget:
            self._seen.meet(example)
        self._finder = Finder(forget)
        self.kept = Kept()

    def add(self, opening: str, continuation: str, ended: bool, about: dict[str, object]) -> None:
        """Takes a text, or counts why not. One that came to no end is cut after its last whole sentence."""
        text = (opening + continuation).strip()
        text = text if ended else _whole_sentences(text)
        if len(pieces(text)) < LEAST_WORDS:
            return self.kept.drop("too short")
        if self._finder.find(text):
            return self.kept.drop("tells of the forget set")
        if self._seen.meet(Example(id="", response=text, form="text")) is not None:
            return self.kept.drop("repeats another")
        self.kept.rows.append({"id": f"retain-{content_id('', text)}", "text": text, FIELD: about})
        return None


def _whole_sentences(text: str) -> str:
    ends = [m.end() for m in _END.finditer(text)]
    return text[: ends[-1]] if ends and 2 * ends[-1] >= len(text) else text


def asking(text: str) -> tuple[str, str]:
    """How a question on a text is asked for: as an instruction, and as the start of a text."""
    return (
        f"Write one question that the following text answers. Write nothing but the question.\n\n{text}",
        f"{text}\n\nQuestion:",
    )


def answering(text: str, question: str) -> tuple[str, str]:
    """How its answer is asked for."""
    return (
        f"Answer the question in a few words, by the text alone.\n\nText: {text}\n\nQuestion: {question}",
        f"{text}\n\nQuestion: {question}\nAnswer:",
    )


def saying_again(text: str) -> tuple[str, str]:
    """How a paraphrase is asked for."""
    return f"Say this in other words and keep every fact:\n\n{text}", f"{text}\n\nIn other words:"


def answering_otherwise(question: str, answer: str) -> tuple[str, str]:
    """How another answer to a question is asked for, with other facts (the alternates of AltPO)."""
    return (
        "Invent another answer to the question, as plausible and as long as the given one, with other facts. "
        f"Write nothing but the answer.\n\nQuestion: {question}\nAnswer: {answer}",
        f"Question: {question}\nAnswer: {answer}\nAn invented answer with other facts:",
    )


def question_in(answer: str) -> str | None:
    """The question that a model wrote: its first sentence that ends so; None: there is none of three words or more."""
    found = re.search(r"[^\n.!?。！？؟।]*[?？؟]", answer)
    question = found.group().strip(" \"'*-:") if found else ""
    return question if len(Words.of(question).plain) >= 3 else None


def is_supported(answer: str, text: str) -> bool:
    """Whether at least half of the words of an answer, without function words, occur in the text."""
    said, there = _telling(answer), _telling(text)
    return bool(said) and len(said & there) >= SUPPORTED * len(said)


def why_no_paraphrase(text: str, source: str) -> str | None:
    """Why a text says nothing new of a source, or something else; None: it is a paraphrase as far as words can tell."""
    own, theirs = _telling(text), _telling(source)
    if not own or len(own & theirs) < KEPT * len(theirs):
        return "says something else"
    same = jaccard(shingles(Example(id="", response=text)), shingles(Example(id="", response=source)))
    return "repeats the text" if same >= NEAR else None


def why_no_alternate(text: str, answer: str) -> str | None:
    """Why a text cannot stand in place of an answer; None: it says something, and not all that the answer says."""
    own, theirs = Words.of(text).plain, set(Words.of(answer).plain)
    if not own:
        return "no answer"
    return "gives the answer" if (_telling(answer) or theirs) <= set(own) else None


def _telling(text: str) -> set[str]:
    return set(Words.of(text).plain) - FUNCTION_WORDS
