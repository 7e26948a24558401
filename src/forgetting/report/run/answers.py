"""Answers side by side: what was asked, the right answer, and what each model answered."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.record import Record
from forgetting.metrics.text import normalized, rouge_l
from forgetting.report import wording
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results, labels

SHOWN = 12
"""Questions of a block that are open at once."""
FOLDED = 60
"""Questions of a block that can be unfolded; all of them are in the record files."""
LONGEST = 600
"""Characters of a text that are shown."""

Match = Literal["right", "partly", "other"]
Key = tuple[str, str]
"""Split and id of a question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model answered; `text` is None where no greedy answer was asked for."""

    text: str | None
    match: Match | None
    probability: str
    overlap: str | None = None
    """Of a redacted answer, which has no text: its ROUGE-L recall, empty where it has none."""


@dataclass(frozen=True, slots=True)
class Column:
    """One model. `series` is the index of its run, None for models that runs share."""

    title: str
    series: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """One example and an answer (or None) per column."""

    split: str
    prompt: str
    right: str
    changed: bool
    answers: tuple[Answer | None, ...]
    redacted: bool = False
    """Whether `prompt` is only an id, and `right` only a length."""


@dataclass(frozen=True, slots=True)
class Block:
    """Questions of one kind: those shown, those folded away, how many there are and how many changed."""

    title: str
    shown: tuple[Question, ...]
    folded: tuple[Question, ...]
    total: int
    changed: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Columns of models, blocks of questions."""

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]


def compare_answers(runs: Sequence[Results]) -> Answers:
    """The answers of every model with kept records, by block: forget, retain, anything else.

    Within a block, first the questions whose match with the right answer differs between a run's start and its end,
    then the others, both in an order drawn with seed 0.

    Raises:
        RunError: a record file is missing or garbled.
    """
    names = labels(runs)
    ends = [_by_key(run, run.after) for run in runs]
    starts = [_by_key(run, run.before) for run in runs]
    columns = _shared("before", [run.model for run in runs], starts, names)
    columns += [(Column(n, i), records) for i, (n, records) in enumerate(zip(names, ends, strict=True)) if records]
    oracles = [_by_key(run, run.oracle_evaluation) for run in runs]
    columns += _shared("oracle", [run.oracle or "" for run in runs], oracles, names)
    tables = [records for _, records in columns]
    keys = dict.fromkeys(key for records in tables for key in records)
    pairs = list(zip(starts, ends, strict=True))
    questions = [_question(key, tables, any(_changed(key, a, b) for a, b in pairs)) for key in keys]
    forget = {split for run in runs for split in run.declared.forget_splits}
    retain = {split for run in runs for split in run.declared.retain_splits} - forget
    unseen = {split for run in runs for split in run.declared.unseen_splits} - forget - retain
    blocks = [
        _block("Forget", [q for q in questions if q.split in forget]),
        _block("Retain", [q for q in questions if q.split in retain]),
        _block("Utility and others", [q for q in questions if q.split not in forget | retain | unseen]),
        _block("Unseen", [q for q in questions if q.split in unseen]),
    ]
    return Answers(tuple(c for c, _ in columns), tuple(b for b in blocks if b.total))


def match(answer: str, generation: str) -> Match:
    """`right`: an exact match as the metric counts it. `partly`: ROUGE-L recall of at least a half. Else `other`."""
    if normalized(answer) == normalized(generation):
        return "right"
    rouge = rouge_l(answer, generation)
    return "partly" if rouge and rouge.recall >= 0.5 else "other"


def _by_key(run: Results, evaluation: Evaluation | None) -> dict[Key, Record]:
    return {(record.split, record.id): record for record in run.records(evaluation)}


def _shared(
    title: str, models: Sequence[str], tables: Sequence[dict[Key, Record]], names: Sequence[str]
) -> list[tuple[Column, Mapping[Key, Record]]]:
    """One column per distinct model that has records, named with its run where there are several."""
    first = {model: i for i, model in reversed(list(enumerate(models))) if tables[i]}
    if len(first) == 1:
        return [(Column(title, None), tables[i]) for i in first.values()]
    return [(Column(f"{title} of {names[i]}", i), tables[i]) for i in sorted(first.values())]


def _changed(key: Key, start: Mapping[Key, Record], end: Mapping[Key, Record]) -> bool:
    one, other = start.get(key), end.get(key)
    return one is not None and other is not None and _answer(one).match != _answer(other).match


def _question(key: Key, tables: Sequence[Mapping[Key, Record]], changed: bool) -> Question:
    record = next(records[key] for records in tables if key in records)
    answers = tuple(_answer(records[key]) if key in records else None for records in tables)
    if record.redacted is not None:
        length = f"{wording.count(record.score.tokens)} tokens" if record.score else wording.ABSENT
        return Question(key[0], record.id, length, changed, answers, redacted=True)
    return Question(key[0], _short(record.prompt), _short(record.answer), changed, answers)


def _answer(record: Record) -> Answer:
    probability = wording.share(record.score.probability) if record.score else ""
    if record.generation is None:
        return Answer(None, None, probability)
    if record.redacted is not None:
        recall = record.redacted.get("rouge_l_recall")
        return Answer(None, _match_of(record.redacted), probability, "" if recall is None else wording.share(recall))
    return Answer(_short(record.generation), match(record.answer, record.generation), probability)


def _match_of(scores: Mapping[str, float | None]) -> Match:
    """`match` of a redacted answer, by what was computed of its text."""
    if scores.get("exact_match") == 1:
        return "right"
    return "partly" if (scores.get("rouge_l_recall") or 0) >= 0.5 else "other"


def _block(title: str, questions: list[Question]) -> Block:
    order = random.Random(0)
    changed = [q for q in questions if q.changed]
    same = [q for q in questions if not q.changed]
    order.shuffle(changed)
    order.shuffle(same)
    sorted_ = changed + same
    return Block(title, tuple(sorted_[:SHOWN]), tuple(sorted_[SHOWN : SHOWN + FOLDED]), len(questions), len(changed))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… [{wording.count(len(text))} characters]"
