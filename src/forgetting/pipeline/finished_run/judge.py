"""Has a judge grade the answers of a finished run's models; resumable by answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record
from forgetting.evaluation.judging.judge import Judge, ask_all
from forgetting.evaluation.judging.kept import kept_in
from forgetting.evaluation.judging.prompts import instructions
from forgetting.evaluation.judging.replies import grades
from forgetting.metrics.judged import Grades, judged_measures
from forgetting.metrics.score import by_split
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.judged import Judged
from forgetting.runs.output import OutputFolder
from forgetting.runs.results import Results


@dataclass(frozen=True, slots=True)
class _Answers:
    """One model's answers in one split."""

    point: str
    split: str
    records: tuple[Record, ...]


def judge_run(
    folder: Path,
    judge: Judge,
    *,
    splits: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    voice: Voice = SILENT,
) -> Judged:
    """Has every answer of the models before, of the oracle and after graded for accuracy and fluency.

    Replies are kept beside the run, by the digest of what was asked and by judge: no answer is sent twice, and work
    that ended early goes on where it was. `judgements/NAME.json` holds the measures, written when all were asked.

    Args:
        folder: a finished run's or an evaluation's.
        judge: who is asked.
        splits: by name; empty: all that have answers.
        limit: at most so many examples of each split, drawn by the seed; the same of every model.
        seed: of the draw.
        voice: receives progress and the cost.

    Raises:
        RunError: no finished run, one whose texts are redacted or purged, no answers, or a judge that cannot be asked.
    """
    run = Results.load(folder)
    if run.redacted or run.purged:
        raise RunError(
            f"{folder}: its texts are {'purged' if run.purged else 'redacted'}, so there is nothing that a judge could "
            "read, and nothing is sent; judge a run that kept its texts"
        )
    answers = _answers(run, splits, limit, seed)
    told = instructions("answer")
    prompts = [
        told.about(question=r.prompt, reference=r.answer, answer=r.generation or "")
        for one in answers
        for r in one.records
    ]
    with (
        RunFolder(folder).held(),
        kept_in(OutputFolder(folder.resolve().parent).replies_file(judge.identity)) as kept,
    ):
        asked = ask_all(judge, prompts, kept, voice)
        read = [_grades(reply) for reply in asked.replies]
        _say_unread(asked.replies, read, voice)
        points: dict[str, tuple[Measure, ...]] = {}
        start = 0
        for one in answers:
            end = start + len(one.records)
            points[one.point] = (
                *points.get(one.point, ()),
                *judged_measures(one.split, one.records, read[start:end]),
            )
            start = end
        found = Judged(
            judge=judge.identity,
            instructions=told.named,
            points=points,
            prompt_tokens=asked.prompt_tokens,
            reply_tokens=asked.reply_tokens,
            seconds=asked.seconds,
        )
        found.save(RunFolder(folder).judgement_file(judge.identity))
    return found


def _answers(run: Results, splits: Sequence[str], limit: int | None, seed: int) -> list[_Answers]:
    evaluations: Mapping[str, Evaluation | None] = {
        "before": run.before,
        "oracle": run.oracle_evaluation,
        "after": run.after,
    }
    found = [
        (point, split, [record for record in records if record.generation is not None])
        for point, evaluation in evaluations.items()
        for split, records in by_split(run.records(evaluation)).items()
    ]
    known = dict.fromkeys(split for _, split, answered in found if answered)
    for split in splits:
        if split not in known:
            raise RunError(f"{run.folder}: no answers in a split '{split}'; it has {', '.join(known) or 'none'}")
    chosen = {split: _drawn([r for _, s, some in found if s == split for r in some], limit, seed) for split in known}
    kept = [
        _Answers(point, split, tuple(r for r in answered if r.id in chosen[split]))
        for point, split, answered in found
        if answered and split in (splits or known)
    ]
    if not kept:
        raise RunError(f"{run.folder}: holds no answers of its models; judge a run that was asked for answers")
    return kept


def _drawn(records: Sequence[Record], limit: int | None, seed: int) -> set[str]:
    ids = sorted({record.id for record in records})
    return {*ids} if limit is None or len(ids) <= limit else {*random.Random(seed).sample(ids, limit)}


def _grades(reply: str | None) -> Grades:
    found = None if reply is None else grades(reply)
    return None if isinstance(found, str) else found


def _say_unread(replies: Sequence[str | None], read: Sequence[Grades], voice: Voice) -> None:
    """How many replies could not be read, and what was wrong with the first; never what it says."""
    unread = [reply for reply, grade in zip(replies, read, strict=True) if reply is not None and grade is None]
    if unread:
        voice.say(f"judge: {len(unread)} of {len(replies)} replies could not be read: the first {grades(unread[0])}")
