"""Has a judge grade the answers of a finished run's models; resumable by answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record
from forgetting.evaluation.judging.judge import Judge
from forgetting.evaluation.judging.kept import kept_in
from forgetting.evaluation.judging.prompts import instructions
from forgetting.metrics.score import by_split
from forgetting.pipeline.run.judged import drawn, graded
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
    file = OutputFolder(folder.resolve().parent).replies_file(judge.identity)
    with RunFolder(folder).held(), kept_in(file, voice) as kept:
        measures, asked = graded(judge, [(one.split, one.records) for one in answers], kept, voice)
        points: dict[str, tuple[Measure, ...]] = {}
        for one, found in zip(answers, measures, strict=True):
            points[one.point] = (*points.get(one.point, ()), *found)
        judged = Judged(
            judge=judge.identity,
            instructions=instructions("answer").named,
            points=points,
            prompt_tokens=asked.prompt_tokens,
            reply_tokens=asked.reply_tokens,
            kept=asked.kept,
            seconds=asked.seconds,
        )
        judged.save(RunFolder(folder).judgement_file(judge.identity))
    return judged


def _answers(run: Results, splits: Sequence[str], limit: int | None, seed: int) -> list[_Answers]:
    evaluations: Mapping[str, Evaluation | None] = {
        "before": run.before,
        "oracle": run.oracle_evaluation,
        "after": run.after,
    }
    found = [
        _Answers(point, split, tuple(some))
        for point, evaluation in evaluations.items()
        for split, records in by_split(run.records(evaluation)).items()
        if (some := drawn(records, limit, seed))
    ]
    known = dict.fromkeys(one.split for one in found)
    for split in splits:
        if split not in known:
            raise RunError(f"{run.folder}: no answers in a split '{split}'; it has {', '.join(known) or 'none'}")
    if not found:
        raise RunError(f"{run.folder}: holds no answers of its models; judge a run that was asked for answers")
    return [one for one in found if one.split in (splits or known)]
