"""Records and measures of run folders as tables of pandas, for notebooks and files of other programs.

forgetting.measures("runs/npo", "runs/loku").to_parquet("measures.parquet")
forgetting.records("runs/npo").query("point == 'after' and split == 'forget'")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from forgetting.core.errors import RunError
from forgetting.core.record import Record, Score
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results, labels

_PLACE = ("run", "point", "stage", "step", "epoch")
_MEASURE = ("split", "measure", "value", "low", "high", "count", "of", "direction", "meaning", "reason")
_NUMBERS = ("step", "epoch", "value", "low", "high", "logp", "probability", "runner_up", "popularity")
_COUNTS = ("count", "of", "tokens")


def measures(*runs: str | Path) -> pd.DataFrame:
    """Every measure of every evaluation of these run folders, a row each.

    Columns: `run`, `point` (`before`, `oracle`, `epoch`, `after`), `stage`, `step`, `epoch`, then `split`, `measure`,
    `value` with its 95% interval `low`, `high` and its `count`, `of`, `direction`, `meaning`. An absent value is
    missing, and `reason` says why.

    Raises:
        RunError: no run is named, or one cannot be read.
    """
    rows = []
    for place, evaluation, _ in _evaluations(runs):
        rows += [
            [*place, m.split, m.name, m.value, m.low, m.high, m.count, m.of, m.direction, m.meaning, m.reason]
            for m in evaluation.measures
        ]
    return _frame(pd.DataFrame(rows, columns=[*_PLACE, *_MEASURE]))


def records(*runs: str | Path) -> pd.DataFrame:
    """Every record of every evaluation of these run folders, a row each: what a model did on one example.

    Columns: `run`, `point`, `stage`, `step`, `epoch`; `id`, `split`, `prompt`, `answer`, `generation`, `group`, `kind`,
    `attempt`, `popularity`; of the answer `logp` (nats), `tokens`, `probability` (p^(1/tokens)), `runner_up`; the same
    of `paraphrase_…`; `perturbed`, a list of such per wrong answer; `values.NAME` of other numbers. What was not
    measured is missing. The texts of a redacted run are keyed hashes, as in its files.

    Raises:
        RunError: no run is named, one cannot be read, or a file of records is missing or damaged.
    """
    rows = [
        dict(zip(_PLACE, place, strict=True)) | _row(record)
        for place, evaluation, run in _evaluations(runs)
        for record in run.records(evaluation)
    ]
    columns = [*_PLACE, *_row(Record(id="", split="", prompt="", answer=""))]
    return _frame(pd.DataFrame(rows, columns=list(dict.fromkeys([*columns, *(k for row in rows for k in row)]))))


def _evaluations(runs: Sequence[str | Path]) -> Iterator[tuple[tuple[Any, ...], Evaluation, Results]]:
    if not runs:
        raise RunError("no run folder was given; name at least one")
    found = [Results.load(Path(run)) for run in runs]
    for run, name in zip(found, labels(found), strict=True):
        for e in run.evaluations:
            yield (name, e.point, e.stage, e.step, e.epoch), e, run


def _row(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "split": record.split,
        "prompt": record.prompt,
        "answer": record.answer,
        "generation": record.generation,
        "group": record.group,
        "kind": record.kind,
        "attempt": record.attempt,
        "popularity": record.popularity,
        **_score(record.score),
        **{f"paraphrase_{name}": value for name, value in _score(record.paraphrase).items()},
        "perturbed": [_score(score) for score in record.perturbed] or None,
        **{f"values.{name}": value for name, value in record.values.items()},
    }


def _score(score: Score | None) -> dict[str, Any]:
    if score is None:
        return dict.fromkeys(("logp", "tokens", "probability", "runner_up"))
    return {
        "logp": score.logp,
        "tokens": score.tokens,
        "probability": score.probability,
        "runner_up": score.runner_up,
    }


def _frame(frame: pd.DataFrame) -> pd.DataFrame:
    """With the same type for a column whether it has values or not: an empty one is of numbers, too."""
    kinds = {}
    for column in frame.columns:
        name = column.removeprefix("paraphrase_")
        if name in _NUMBERS or column.startswith("values."):
            kinds[column] = "float64"
        elif name in _COUNTS:
            kinds[column] = "Int64"
        elif column != "perturbed":
            kinds[column] = "string"
    return frame.astype(kinds)
