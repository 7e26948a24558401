"""Records as logs of Inspect (inspect-ai), for `inspect view` and its tables: a log for each model and split.

Source: inspect-ai 0.3.285, `inspect_ai.log.EvalLog`, version 2, as JSON. Nothing of that package is needed to write it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.dialogue import dialogue_f1
from forgetting.metrics.extraction import extraction_strength
from forgetting.metrics.likelihood import (
    memorization_accuracy,
    option_probability,
    probability,
    teacher_forced_exact_match,
)
from forgetting.metrics.muse import knowmem, verbmem
from forgetting.metrics.per_example import PerExample
from forgetting.metrics.score import by_split
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results

SCORES = (
    dialogue_f1,
    exact_match,
    extraction_strength,
    knowmem,
    memorization_accuracy,
    option_probability,
    probability,
    rouge_l_f1,
    rouge_l_recall,
    teacher_forced_exact_match,
    verbmem,
)
"""What is said of each sample, where the run measured its mean."""
_OF_TEXTS = (dialogue_f1, exact_match, knowmem, rouge_l_f1, rouge_l_recall, verbmem)
"""Those of them that are computed from texts; a redacted record has kept some."""
_LONGEST = 40
"""Characters of a split in a file's name, which may have 255 bytes; the log itself has all of it."""
_AGAIN = "remove the run's folder and start it again"


@dataclass(frozen=True, slots=True)
class InspectLog:
    """A log that was written."""

    file: Path
    model: str
    task: str
    samples: int


def export_inspect(run: Path, folder: Path) -> list[InspectLog]:
    """Writes a log for every split of every model of a run that has records: before, oracle, after each stage.

    A log's task is the split, its model RUN/POINT. A sample's scores are numbers of one record whose mean the run
    measured; the log's results are the run's measures of the split, each with its interval as `low` and `high`. What
    could not be measured is absent from both, and its reason is in the log's metadata, as are measures of several
    splits. The texts of a redacted run are keyed hashes, as in its files.

    Args:
        run: a finished run's folder, or an imported log's.
        folder: where to write, beside whatever logs are there; those of the same run are replaced.

    Raises:
        RunError: no such run, it has no records, or the disk cannot be written.
    """
    results = Results.load(run)
    begun = _moment(results, run)
    done = []
    for evaluation in results.evaluations:
        model = "/".join(filter(None, (results.name, evaluation.stage, evaluation.point)))
        for split, records in by_split(results.records(evaluation)).items():
            log = as_inspect(results, evaluation, records, model=model, created=begun.isoformat())
            named = re.sub(r"[^\w.]|_", "-", split)[:_LONGEST]
            # One run's logs have the same names each time.
            name = f"{begun:%Y-%m-%dT%H-%M-%S}+00-00_{named}_{log['eval']['eval_id']}.json"
            write_text(folder / name, json.dumps(log, indent=1, ensure_ascii=False, allow_nan=False))
            done.append(InspectLog(folder / name, model, split, len(records)))
    if not done:
        raise RunError(f"{run}: has no records of any model; evaluate it again, or export a run that keeps them")
    return done


def as_inspect(
    results: Results, evaluation: Evaluation, records: Sequence[Record], *, model: str, created: str
) -> dict[str, Any]:
    """The log of one split of one model.

    Args:
        results: of the run.
        evaluation: of the model.
        records: of it, all of one split.
        model: how it is called.
        created: when the run was, in ISO 8601 with its zone.
    """
    split = records[0].split
    measures = [m for m in evaluation.finite().measures if m.split == split]
    measured = {m.name for m in measures}
    scores = [what for what in SCORES if what.name in measured]
    told = "\n".join((results.folder.resolve().as_posix(), model, split, created))
    own = hashlib.sha256(told.encode()).hexdigest()[:22]
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": own,
            "run_id": hashlib.sha256(f"{results.recipe_sha256}{created}".encode()).hexdigest()[:22],
            "created": created,
            "task": split,
            "task_id": own,
            "model": model,
            "dataset": {"name": split, "samples": len(records), "sample_ids": [r.id for r in records]},
            "config": {},
            "metadata": {
                "run": results.name,
                "point": evaluation.point,
                "stage": evaluation.stage,
                "base_model": results.model,
                "absent": {m.name: m.reason for m in measures if m.value is None},
                "over_splits": {
                    m.key: m.value for m in evaluation.finite().measures if m.split == "all" and m.value is not None
                },
            },
        },
        "plan": {"name": "forgetting", "steps": []},
        "results": {
            "total_samples": len(records),
            "completed_samples": len(records),
            "scores": [_result(m, len(records)) for m in measures if m.value is not None],
        },
        "stats": {"started_at": created, "completed_at": created},
        "samples": [_sample(record, model, scores) for record in records],
    }


def _moment(results: Results, run: Path) -> datetime:
    try:
        moment = datetime.fromisoformat(results.created) if results.created else datetime(1970, 1, 1, tzinfo=UTC)
    except ValueError as error:
        raise RunError(f"{run}: created is '{results.created}', which is no time; {_AGAIN}") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _result(measure: Measure, records: int) -> dict[str, Any]:
    values = {"value": measure.value, "low": measure.low, "high": measure.high}
    return {
        "name": measure.name,
        "scorer": measure.name,
        "scored_samples": measure.count,
        "unscored_samples": max(0, records - measure.count),
        "metrics": {name: {"name": name, "value": value} for name, value in values.items() if value is not None},
        "metadata": {"meaning": measure.meaning, "direction": measure.direction},
    }


def _sample(record: Record, model: str, scores: Sequence[PerExample]) -> dict[str, Any]:
    written = record.generation
    said = [] if written is None else [{"role": "assistant", "content": written, "source": "generate", "model": model}]
    return {
        "id": record.id,
        "epoch": 1,
        "input": record.prompt,
        "target": record.answer,
        "messages": [{"role": "user", "content": record.prompt, "source": "input"}, *said],
        "output": {"model": model, "choices": [{"message": one, "stop_reason": "stop"} for one in said]},
        "scores": {name: {"value": value, "answer": written} for name, value in _values(record, scores)},
        "metadata": dict(_known(record)),
    }


def _values(record: Record, scores: Sequence[PerExample]) -> Iterator[tuple[str, float]]:
    for what in scores:
        kept = record.redacted if what in _OF_TEXTS else None
        value = what.value_of(record) if kept is None else kept.get(what.name)
        if value is not None and math.isfinite(value):
            yield what.name, float(value)


def _known(record: Record) -> Iterator[tuple[str, Any]]:
    """What else is known of a record, without what is not."""
    found: Mapping[str, Any] = {
        "group": record.group or None,
        "kind": record.kind or None,
        "attempt": record.attempt or None,
        "popularity": record.popularity,
        "logp": record.score and record.score.logp,
        "tokens": record.score and record.score.tokens,
        **record.values,
    }
    for name, value in found.items():
        if value is not None and not (isinstance(value, float) and not math.isfinite(value)):
            yield name, value
