"""Compares a published log's own values with those of its records: equal, or different and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import hmean

from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.imports.open_unlearning import SPLITS, Log, aggregates, by_index, written_splits
from forgetting.metrics.likelihood import option_probability, probability
from forgetting.metrics.score import by_split
from forgetting.metrics.text import rouge_l_f1, rouge_l_recall
from forgetting.metrics.truth_ratio import log_truth_ratio, truth_ratio_forget, truth_ratio_utility

EQUAL = 1e-6
"""Relative: logs keep float32."""
_TINY = 1e-10
"""The constant that open-unlearning adds to every denominator."""
ValueOf = Callable[[Record], float | None]
_COLUMNS: dict[str, ValueOf] = {
    "rougeL_recall": rouge_l_recall.value_of,
    "rougeL_f1": rouge_l_f1.value_of,
    "truth_ratio": lambda record: _exp(log_truth_ratio(record)),
}
"""Columns of a log's rows that can be computed from the others."""


@dataclass(frozen=True, slots=True)
class Check:
    """One number of the log."""

    name: str
    logged: float | None
    ours: float | None
    key: str = ""
    """Ours, `split/name`."""
    note: str = ""
    """Why the two differ, or why there is none of ours."""

    @property
    def equal(self) -> bool:
        """Whether both are there and the same up to rounding."""
        return self.logged is not None and self.ours is not None and _same(self.logged, self.ours)


def check_tofu(logs: Mapping[str, Any], names: Mapping[str, str], records: Sequence[Record]) -> list[Check]:
    """Of TOFU's own log, which aggregates nothing: the mean of each column that can be computed from the others."""
    columns = {name: {c: list(logs.get(name, {}).get(c, {}).values()) for c in _COLUMNS} for name in names}
    return [c for name, split in names.items() for c in check_columns(name, split, columns[name], records)]


def check_columns(
    name: str, split: str, columns: Mapping[str, Sequence[Any]], records: Sequence[Record]
) -> list[Check]:
    """The mean of each logged column of one split's rows, beside ours; columns that are not known are left out."""
    members = by_split(records).get(split, [])
    checks = []
    for column, value_of in _COLUMNS.items():
        logged = columns.get(column)
        if logged:
            key = f"{split}/{column}"
            mean = _mean([v if isinstance(v, int | float) else None for v in logged])
            found = Check(f"{name}: {column}", mean, _mean([value_of(r) for r in members]), key)
            checks.append(found if found.equal else _with(found, _ROWS))
    return checks


def check_open_unlearning(log: Log, records: Sequence[Record], measures: Sequence[Measure]) -> list[Check]:
    """Every aggregate of the log beside ours, in the log's order."""
    splits = by_split(records)
    ours = {m.key: m.value for m in measures}
    named = {**_by_name(log), "model_utility": ("all/model_utility", None)}
    named["forget_quality"] = ("forget/forget_quality", None)
    checks: list[Check] = []
    for name, value in aggregates(log).items():
        key, value_of = named.get(name, named.get(name.replace("truth_ratio", "Truth_Ratio"), ("", None)))
        if not key:
            checks.append(Check(name, _finite(value), None, note="kept as logged: its records are not in the log"))
            continue
        split = key.partition("/")[0]
        mine = ours.get(key) if value_of is None else _mean([value_of(r) for r in splits.get(split, [])])
        checks.append(Check(name, _finite(value), mine, key))
    wrong = [c.name for c in checks if c.key and not c.equal]
    return [c if c.equal or not c.key else _with(c, _why(c, log, splits, wrong)) for c in checks]


def _by_name(log: Log) -> dict[str, tuple[str, ValueOf | None]]:
    """Key and value of a record, by the log's name."""
    named: dict[str, tuple[str, ValueOf | None]] = {}
    for start, split in SPLITS.items():
        ratio = truth_ratio_forget() if split == "forget" else truth_ratio_utility()
        named |= {
            f"{start}_Q_A_Prob": (f"{split}/probability", probability.value_of),
            f"{start}_Q_A_Prob_normalised": (f"{split}/option_probability", option_probability.value_of),
            f"{start}_Q_A_PARA_Prob": (f"{split}/probability of the paraphrase", _paraphrase),
            f"{start}_Q_A_PERT_Prob": (f"{split}/probability of the wrong answers", _wrong),
            f"{start}_Truth_Ratio": (f"{split}/{ratio.name}", ratio.value_of),
        }
    for split, name in written_splits(log).items():
        what = rouge_l_f1 if _logs_f1(log, name) else rouge_l_recall
        named[name] = (f"{split}/{what.name}", what.value_of)
    return named


def _logs_f1(log: Log, name: str) -> bool:
    """Which of its columns the log averages; recall where both would do."""
    value, rows = aggregates(log).get(name, math.nan), by_index(log, name).values()
    recall, f1 = (_mean([_number(row.get(column)) for row in rows]) for column in ("rougeL_recall", "rougeL_f1"))
    return f1 is not None and _same(value, f1) and not (recall is not None and _same(value, recall))


_ROWS = "the log's rows do not give the log's number"


def _why(check: Check, log: Log, splits: Mapping[str, Sequence[Record]], wrong: Sequence[str]) -> str:
    if check.ours is None:
        return "the log has no rows to compute it from" + (
            "; name the log of the model that never saw the forget set: --oracle"
            if check.name == "forget_quality"
            else ""
        )
    if check.logged is None:
        return "the log's number is no number: one row that could not be scored spoils its mean; ours leaves it out"
    if check.name == "model_utility":
        parts = [v for n, v in aggregates(log).items() if _is_part(n)]
        if len(parts) == 9 and min(parts) >= 0 and _same(float(hmean(parts)), check.logged):
            return f"follows from its parts that differ: {', '.join(n for n in wrong if _is_part(n))}"
        return "the harmonic mean of the log's own nine parts is another number"
    records = splits.get(check.key.partition("/")[0], [])
    if "truth_ratio" in check.name.lower():
        return _why_ratio(check, records)
    if check.name == "forget_quality":
        return (
            "the log was compared with another model than the one given as oracle, or its ratios are distorted by the "
            f"{_TINY:g} that open-unlearning adds to p(right)"
        )
    logged = [row.get("prob") for row in by_index(log, check.name).values()]
    flat = [float(np.mean(p)) for p in logged if isinstance(p, int | float | list)]
    if flat and _same(float(np.mean(flat)), check.logged):
        return "the logged probabilities are rounded (half precision): ours are exp(-avg_loss) of the same rows"
    return _ROWS


def _why_ratio(check: Check, records: Sequence[Record]) -> str:
    pairs = [pair for record in records if (pair := _right_and_wrong(record))]
    right_N, wrong_N = (np.array(values) for values in zip(*pairs, strict=True)) if pairs else (np.ones(1), np.ones(1))
    ratio_N = wrong_N / (right_N + _TINY)
    folded = np.minimum(ratio_N, 1 / (ratio_N + _TINY)) if "forget" in check.name else np.maximum(0, 1 - ratio_N)
    assert check.logged is not None
    if _same(float(folded.mean()), check.logged):
        low = int((right_N < 100 * _TINY).sum())
        return (
            f"open-unlearning adds {_TINY:g} to p(right), so R is far too small where the right answer is about as "
            f"unlikely as that ({low} of {len(pairs)} questions)"
        )
    if _same(float((right_N / (right_N + wrong_N)).mean()), check.logged):
        return "the log averages p(right) / (p(right) + p(wrong)), which is not the truth ratio of TOFU's paper"
    return _ROWS


def _right_and_wrong(record: Record) -> tuple[float, float] | None:
    right = record.paraphrase or record.score
    if right is None or not record.perturbed:
        return None
    return math.exp(-right.loss), math.exp(-float(np.mean([score.loss for score in record.perturbed])))


def _is_part(name: str) -> bool:
    start, _, what = name.partition("_")
    return (start in ("ra", "wf") and what.lower() in ("q_a_prob_normalised", "q_a_rouge", "truth_ratio")) or (
        start == "retain" and what.lower() in ("q_a_prob", "q_a_rouge", "truth_ratio")
    )


def _paraphrase(record: Record) -> float | None:
    return record.paraphrase.probability if record.paraphrase else None


def _wrong(record: Record) -> float | None:
    return float(np.mean([score.probability for score in record.perturbed])) if record.perturbed else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None and not math.isnan(v)]
    return float(np.mean(known)) if known else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=EQUAL, abs_tol=1e-12)


def _with(check: Check, note: str) -> Check:
    return Check(check.name, check.logged, check.ours, check.key, note)
