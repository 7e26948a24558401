"""open-unlearning's evaluation logs (TOFU_EVAL.json, MUSE_EVAL.json) as records.

The log holds, by the name of a metric, `agg_value` and `value_by_index`: per question `prob` and `avg_loss` of one
answer or of several, or the words that were written. Source: locuslab/open-unlearning, `src/evals/metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forgetting.core.errors import DataError
from forgetting.core.record import Record, Score

SPLITS = {"forget": "forget", "retain": "retain", "ra": "real_authors", "wf": "world_facts"}
"""Prefix of a log's metric names -> split."""
Log = Mapping[str, Any]


def is_evaluation(log: object) -> bool:
    """Whether it is a log with values by question."""
    return isinstance(log, Mapping) and any(isinstance(v, Mapping) and "value_by_index" in v for v in log.values())


def is_summary(log: object) -> bool:
    """Whether it is a summary: numbers alone."""
    return isinstance(log, Mapping) and bool(log) and all(isinstance(v, int | float) for v in log.values())


def aggregates(log: Log) -> dict[str, float]:
    """The log's own value of each metric; NaN if it has no usable one."""
    found: dict[str, float] = {}
    for name, entry in log.items():
        value = entry.get("agg_value") if isinstance(entry, Mapping) else entry
        if isinstance(entry, Mapping) and "agg_value" not in entry:
            continue
        found[name] = float(value) if isinstance(value, int | float) else math.nan
    return found


def by_index(log: Log, name: str) -> Mapping[str, Mapping[str, Any]]:
    """The values of a metric by question, as far as they are there."""
    entry = log.get(name)
    values = entry.get("value_by_index") if isinstance(entry, Mapping) else None
    if not isinstance(values, Mapping):
        return {}
    return {str(index): value for index, value in values.items() if isinstance(value, Mapping)}


def read_records(log: Log, where: str) -> list[Record]:
    """The records of every split that the log has questions of; a record's id is its index in the log.

    The log counts no tokens: each answer counts as one token whose log p is −avg_loss, so that everything that rests on
    the mean per token is right, and sums over a split's tokens are not known. Ranks are not logged.

    Raises:
        DataError: a row is not as open-unlearning writes it.
    """
    found: list[Record] = []
    try:
        for start, split in SPLITS.items():
            found += _questions(log, start, split)
        for name in log:
            if name.endswith("_ROUGE") and not name.endswith("_Q_A_ROUGE"):
                written = by_index(log, name)
                found += [_record(index, name.removesuffix("_ROUGE"), said=row) for index, row in written.items()]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not as open-unlearning writes it ({error}); evaluate again") from error
    return found


def _questions(log: Log, start: str, split: str) -> list[Record]:
    own, right, wrong, written = (
        by_index(log, f"{start}_Q_A_{what}") for what in ("Prob", "PARA_Prob", "PERT_Prob", "ROUGE")
    )
    if start in ("forget", "retain") and not right:
        wrong = {}  # the truth ratio of these rests on the paraphrased answer: without it there is none
    rows = dict.fromkeys([*own, *wrong, *written])
    return [
        _record(
            index,
            split,
            said=written.get(index, {}),
            score=_score(own.get(index)),
            paraphrase=_score(right.get(index)),
            perturbed=_scores(wrong.get(index)),
        )
        for index in rows
    ]


def _record(
    index: str,
    split: str,
    *,
    said: Mapping[str, Any],
    score: Score | None = None,
    paraphrase: Score | None = None,
    perturbed: tuple[Score, ...] = (),
) -> Record:
    generation = said.get("generation")
    return Record(
        id=index,
        split=split,
        prompt=_text(said.get("input")),
        answer=_text(said.get("ground_truth")),
        generation=generation if isinstance(generation, str) else None,
        score=score,
        paraphrase=paraphrase,
        perturbed=perturbed,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _score(row: Mapping[str, Any] | None) -> Score | None:
    """Of one answer, or of several the mean loss, as open-unlearning uses it."""
    losses = _losses(row)
    return None if not losses else Score(logp=-float(np.mean(losses)), tokens=1)


def _scores(row: Mapping[str, Any] | None) -> tuple[Score, ...]:
    return tuple(Score(logp=-loss, tokens=1) for loss in _losses(row))


def _losses(row: Mapping[str, Any] | None) -> Sequence[float]:
    """Empty where the log could not score it."""
    if row is None or row["avg_loss"] is None:
        return []
    value = row["avg_loss"]
    losses = [float(loss) for loss in (value if isinstance(value, list) else [value])]
    return [] if any(math.isnan(loss) for loss in losses) else losses
