"""A judge's grades of records → measures; where a recipe names a judge, as a part of its evaluations."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.core.record import Record
from forgetting.evaluation.judging.endpoint import Endpoint
from forgetting.evaluation.judging.judge import Asked, Judge, ask_all
from forgetting.evaluation.judging.kept import KeptReplies, kept_in
from forgetting.evaluation.judging.prompts import instructions
from forgetting.evaluation.judging.replies import grades
from forgetting.metrics.judged import Grades, judged_measures
from forgetting.metrics.score import by_split
from forgetting.recipe import Recipe
from forgetting.runs.output import OutputFolder


def judged(records: Sequence[Record], recipe: Recipe, voice: Voice) -> list[Measure]:
    """The measures of the recipe's judge on these records; none where it names no judge.

    What a redacted run may send, it does not keep: replies may quote the texts, and their digests could be guessed.

    Raises:
        RunError: the judge cannot be asked.
    """
    judge = judge_of(recipe)
    if recipe.judge is None or judge is None:
        return []
    asked = {split: drawn(some, recipe.judge.limit, recipe.seed) for split, some in by_split(records).items()}
    file = OutputFolder(Path(recipe.output)).replies_file(judge.identity)
    with nullcontext(KeptReplies(None)) if recipe.redact else kept_in(file, voice) as kept:
        found, _ = graded(judge, [(split, some) for split, some in asked.items() if some], kept, voice)
    return [measure for measures in found for measure in measures]


def judge_of(recipe: Recipe) -> Endpoint | None:
    """The judge that a recipe names, if any; nothing is asked.

    Raises:
        RecipeError: an address that cannot be one, or requests is not installed.
    """
    how = recipe.judge
    if how is None:
        return None
    return Endpoint(
        url=how.url, model=how.model, key_variable=how.key_variable, at_once=how.at_once, timeout=how.timeout
    )


def graded(
    judge: Judge, parts: Sequence[tuple[str, Sequence[Record]]], kept: KeptReplies, voice: Voice
) -> tuple[list[list[Measure]], Asked]:
    """The measures of each part, and what was asked for them.

    Args:
        judge: who is asked.
        parts: split and records, all of which have an answer.
        kept: replies from before.
        voice: receives progress, the cost, and how many replies cannot be read.
    """
    told = instructions("answer")
    prompts = [
        told.about(question=r.prompt, reference=r.answer, answer=r.generation or "") for _, some in parts for r in some
    ]
    asked = ask_all(judge, prompts, kept, voice)
    read = [_grades(reply) for reply in asked.replies]
    _say_unread(asked.replies, read, voice)
    places, found = iter(read), []
    for split, some in parts:
        found.append(judged_measures(split, some, [next(places) for _ in some]))
    return found, asked


def drawn(records: Sequence[Record], limit: int | None, seed: int) -> list[Record]:
    """The records with an answer; of more than `limit`, those of as many ids, drawn by the seed."""
    answered = [record for record in records if record.generation is not None]
    ids = sorted({record.id for record in answered})
    chosen = {*ids} if limit is None or len(ids) <= limit else {*random.Random(seed).sample(ids, limit)}
    return [record for record in answered if record.id in chosen]


def _grades(reply: str | None) -> Grades:
    found = None if reply is None else grades(reply)
    return None if isinstance(found, str) else found


def _say_unread(replies: Sequence[str | None], read: Sequence[Mapping[str, float] | None], voice: Voice) -> None:
    """How many replies could not be read, and what was wrong with the first; never what it says."""
    unread = [reply for reply, grade in zip(replies, read, strict=True) if reply is not None and grade is None]
    if unread:
        voice.say(f"judge: {len(unread)} of {len(replies)} replies could not be read: the first {grades(unread[0])}")
