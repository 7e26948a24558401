"""Runs with records whose means are their measures, as the pipeline leaves them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetting.core.declaration import Declaration
from forgetting.core.record import Record, Score, write_records
from forgetting.metrics.score import score
from forgetting.metrics.standard import standard_declaration, standard_metrics
from forgetting.runs.evaluation import Evaluation, Point
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult

Answers = Mapping[str, Sequence[float]]
"""Probabilities of the right answers, by split; above one half the greedy answer is right."""
DECLARED = standard_declaration(utility=())


def recorded(
    folder: Path,
    *,
    before: Answers,
    after: Answers,
    oracle: Answers | None = None,
    ids: str = "q",
    declared: Declaration = DECLARED,
    data: Mapping[str, Mapping[str, Any]] | None = None,
    **more: Any,
) -> Results:
    """A run of one stage, its records in files of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    points: list[tuple[Point, Answers]] = [("before", before), ("after", after)]
    if oracle is not None:
        points.append(("oracle", oracle))
    theirs = None if oracle is None else records_of(oracle, ids)
    evaluations = []
    for point, answers in points:
        records = records_of(answers, ids)
        write_records(folder / f"{point}.jsonl", records)
        metrics = standard_metrics(
            declared.forget_splits, declared.retain_splits, (), unseen_splits=declared.unseen_splits
        )
        measures = score(metrics, records, theirs)
        stage = "unlearn" if point == "after" else None
        evaluations.append(Evaluation(point=point, stage=stage, records=f"{point}.jsonl", measures=tuple(measures)))
    return Results(
        folder=folder,
        name=folder.name,
        **{
            "status": "complete",
            "suite": "lab",
            "stages": (StageResult(name="unlearn", method="npo", steps=10, epochs=2.0),),
            "data": {"forget": {"sha256": "a"}, "retain": {"sha256": "b"}} if data is None else data,
            "evaluations": tuple(evaluations),
            "declaration": declared,
            **more,
        },
    )


def records_of(answers: Answers, ids: str) -> list[Record]:
    """One record per probability."""
    return [
        Record(
            id=f"{ids}{i}",
            split=split,
            prompt=f"Question {ids}{i}?",
            answer="Paris",
            generation="Paris" if p > 0.5 else "Rome",
            score=Score(math.log(p) if p else -math.inf, 1),
        )
        for split, values in answers.items()
        for i, p in enumerate(values)
    ]


def spread(mean: float, count: int = 78, width: float = 0.05) -> list[float]:
    """Probabilities around a mean, in a fixed order."""
    return [mean + width * math.sin(7 * i) * (i < count - count % 2) for i in range(count)]
