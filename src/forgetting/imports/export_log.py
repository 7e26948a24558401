"""Records as open-unlearning's evaluation logs: what `imports.open_unlearning` reads, written.

Source: locuslab/open-unlearning, `src/evals`: TOFU_EVAL.json holds, by the name of a metric, `agg_value` and
`value_by_index`; TOFU_SUMMARY.json the former alone. Its `retain_logs_path` may name such a log of an oracle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from forgetting.benchmarks.tofu import tofu_metrics
from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.folder import write_text
from forgetting.core.record import Record, Score
from forgetting.imports.open_unlearning import SPLITS
from forgetting.metrics.likelihood import option_probability, usable
from forgetting.metrics.score import by_split, score
from forgetting.metrics.text import rouge_l_f1, rouge_l_recall
from forgetting.metrics.truth_ratio import log_truth_ratio
from forgetting.runs.results import Results

At = Literal["before", "after", "oracle"]
Row = dict[str, Any] | None
"""None: what the log has for a question that could not be scored."""
_STARTS = {split: start for start, split in SPLITS.items()}
_WITH_OPTIONS = ("ra", "wf")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    log: Path
    summary: Path
    values: Mapping[str, float]
    """By the name of a metric, its aggregate."""


def export_log(run: Path, folder: Path, *, at: At = "after", benchmark: str = "TOFU") -> Exported:
    """Writes BENCHMARK_EVAL.json and BENCHMARK_SUMMARY.json of a run's records, of one of its models.

    Args:
        run: a finished run's folder, or an imported log's.
        folder: where to write; an older log of that name in it is replaced.
        at: which model.
        benchmark: what the files' names begin with.

    Raises:
        RunError: no such run, it has no records of that model, or the disk cannot be written.
        DataError: see `as_log`.
        RecipeError: `benchmark` is no beginning of a file's name.
    """
    if not benchmark or Path(benchmark).name != benchmark:
        raise RecipeError(f"--benchmark is '{benchmark}'; write what the files' names begin with, without a folder")
    results = Results.load(run)
    of = {e.point: e for e in results.evaluations if e.point != "epoch"}  # the last of several stages
    records = results.records(of.get(at))
    if not records:
        raise RunError(f"{run}: has no records of the model '{at}'; it has {', '.join(of) or 'none'}")
    log = as_log(records, results.records(of.get("oracle")) or None, str(run))
    values = {name: entry["agg_value"] for name, entry in log.items()}
    files = [folder / f"{benchmark}_{what}.json" for what in ("EVAL", "SUMMARY")]
    for file, content in zip(files, (log, values), strict=True):
        write_text(file, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))
    return Exported(files[0], files[1], values)


def as_log(records: Sequence[Record], oracle: Sequence[Record] | None, where: str) -> dict[str, dict[str, Any]]:
    """The log of some records: by the name of a metric, `agg_value` and `value_by_index`.

    TOFU's four splits have the names that open-unlearning gives them; of any other split likelihoods and written
    answers are under its own name, of which its readers take the latter. An index is the record's id where all ids of a
    split are numbers, else its place. Aggregates are the library's values: unlike open-unlearning's, their truth ratios
    have no 1e-10 added to a probability. ROUGE-1 is not among the columns, nor what rests on ranks.

    Args:
        records: of one model.
        oracle: of a model that never saw the forget set; without it there is no `forget_quality`.
        where: the run's name in messages.

    Raises:
        DataError: the records are redacted, so that they have no texts; or the oracle was asked other questions.
    """
    if any(record.redacted is not None for record in records):
        raise DataError(f"{where}: its records are redacted and hold no texts; export an unredacted run")
    log: dict[str, dict[str, Any]] = {}
    for split, members in by_split(records).items():
        log |= _of_split(_STARTS.get(split, split), members)
    for measure in score(tofu_metrics(), records, oracle):
        if measure.key in ("forget/forget_quality", "all/model_utility") and measure.value is not None:
            log[measure.name] = {"agg_value": measure.value}
    return log


def _of_split(start: str, records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    makers: dict[str, Callable[[Record], Row]] = {
        f"{start}_Q_A_Prob": lambda record: _one(record.score),
        f"{start}_Q_A_PARA_Prob": _right,
        f"{start}_Q_A_PERT_Prob": _wrong,
        f"{'forget_truth_ratio' if start == 'forget' else f'{start}_Truth_Ratio'}": _ratio,
        f"{start}_Q_A_ROUGE": _written,
    }
    if start in _WITH_OPTIONS:
        makers[f"{start}_Q_A_Prob_normalised"] = _share
    indices = [r.id if all(r.id.isdecimal() for r in records) else str(n) for n, r in enumerate(records)]
    found = {}
    for name, make in makers.items():
        rows = {index: make(record) for index, record in zip(indices, records, strict=True)}
        if any(rows.values()):
            found[name] = {"agg_value": _aggregate(name, rows.values()), "value_by_index": rows}
    return found


def _aggregate(name: str, rows: Any) -> float:
    """The mean over questions, of truth ratios as open-unlearning folds them."""
    known = [row for row in rows if row is not None]
    if name.endswith("_ROUGE"):
        return float(np.mean([row["rougeL_recall"] for row in known if row["rougeL_recall"] is not None] or [0.0]))
    if "score" not in known[0]:
        return float(np.mean([np.mean(row["prob"]) for row in known]))
    ratio_N = np.array([row["score"] for row in known])
    if name == "forget_truth_ratio":
        return float(np.mean(np.minimum(ratio_N, 1 / np.maximum(ratio_N, np.finfo(float).tiny))))
    return float(np.mean(np.maximum(0, 1 - ratio_N)))


def _one(given: Score | None) -> Row:
    known = usable(given)
    if known is None or not math.isfinite(known.loss):
        return None
    return {"prob": known.probability, "avg_loss": known.loss}


def _right(record: Record) -> Row:
    """The answer that the truth ratio rests on: the paraphrase, or the answer itself where there is none."""
    return _one(record.paraphrase or record.score) if record.paraphrase or record.perturbed else None


def _wrong(record: Record) -> Row:
    rows = [row for row in map(_one, record.perturbed) if row is not None]
    if not rows or len(rows) < len(record.perturbed):
        return None
    return {key: [row[key] for row in rows] for key in ("prob", "avg_loss")}


def _share(record: Record) -> Row:
    value = option_probability.value_of(record)
    return None if value is None else {"prob": value}


def _ratio(record: Record) -> Row:
    value = log_truth_ratio(record)
    return None if value is None or abs(value) > math.log(np.finfo(float).max) else {"score": math.exp(value)}


def _written(record: Record) -> Row:
    if record.generation is None:
        return None
    return {
        "rougeL_recall": rouge_l_recall.value_of(record),
        "rougeL_f1": rouge_l_f1.value_of(record),
        "input": record.prompt,
        "ground_truth": record.answer,
        "generation": record.generation,
    }
