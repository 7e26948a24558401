"""open-unlearning's evaluation logs (TOFU_EVAL.json, MUSE_EVAL.json) and its forks' (DUET_EVAL.json) as records.

The log holds, by the name of a metric, `agg_value` and `value_by_index`: per question `prob` and `avg_loss` of one
answer or of several, or the words that were written. Source: locuslab/open-unlearning, `src/evals/metrics`. DUET's
fork writes its names in small letters, and calls the retain set `holdout`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forgetting.core.errors import DataError
from forgetting.core.record import Record, Score

SPLITS = {"forget": "forget", "retain": "retain", "ra": "real_authors", "wf": "world_facts"}
"""Prefix of a log's metric names -> split."""
RETAIN_OF = {"holdout": "retain"}
"""DUET has no unseen text: its configurations give the retain set in that place."""
Log = Mapping[str, Any]
_WRITTEN = re.compile(r"(?P<split>.+?)(?:_Q_A|_qa)?_(?:ROUGE|rouge)")
_OTHER_ANSWERS = ("_PARA", "_PERT")


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
    written = written_splits(log)
    try:
        for start, split in SPLITS.items():
            found += _questions(log, start, split, by_index(log, written.pop(split, "")))
        for split, name in written.items():
            found += [_record(index, split, said=row) for index, row in by_index(log, name).items()]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not as open-unlearning writes it ({error}); evaluate again") from error
    return found


def written_splits(log: Log) -> dict[str, str]:
    """By split, the name of the metric whose rows hold what was written there: the first that has such rows.

    A metric's name says its split: `forget_knowmem_ROUGE`, `forget_qa_rouge`, `forget_Q_A_ROUGE`.
    """
    found: dict[str, str] = {}
    for name in log:
        matched = _WRITTEN.fullmatch(name)
        if matched is None or matched["split"].endswith(_OTHER_ANSWERS) or not by_index(log, name):
            continue
        split = SPLITS.get(matched["split"], matched["split"])
        found.setdefault(split, name)
    for theirs, ours in RETAIN_OF.items():
        if theirs in found and ours not in found:
            found = {ours if split == theirs else split: name for split, name in found.items()}
    return found


def _questions(log: Log, start: str, split: str, written: Mapping[str, Mapping[str, Any]]) -> list[Record]:
    own, right, wrong = (by_index(log, f"{start}_Q_A_{what}") for what in ("Prob", "PARA_Prob", "PERT_Prob"))
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
    return replace(answer_record(index, split, said), score=score, paraphrase=paraphrase, perturbed=perturbed)


def answer_record(index: str, split: str, said: Mapping[str, Any]) -> Record:
    """A record of what was written, by the columns `input` (all of the prompt), `ground_truth` and `generation`."""
    generation = said.get("generation")
    return Record(
        id=index,
        split=split,
        prompt=_text(said.get("input")),
        answer=_text(said.get("ground_truth")),
        generation=generation if isinstance(generation, str) else None,
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
