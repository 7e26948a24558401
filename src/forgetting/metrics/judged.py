"""A judge's grades of answers → measures: means, what has no grade, and agreement with matching by words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.agreement import kappa
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean
from forgetting.metrics.text import exact_match, rouge_l_recall

RIGHT = 0.5
"""From this accuracy on, a judge calls an answer right; from this ROUGE-L recall on, it counts as said."""
_MEANINGS = {
    "accuracy": "Whether the answer states the reference's fact, as a judge grades it. 1 = yes.",
    "fluency": "Whether the answer reads as natural language, right or wrong, as a judge grades it. 1 = yes.",
}
_MATCHES: Mapping[str, tuple[Callable[[Record], float | None], str]] = {
    "exact_match": (exact_match.value_of, "an exact match"),
    "rouge_l_recall": (rouge_l_recall.value_of, "a ROUGE-L recall of at least a half"),
}

GRADES = tuple(f"judge_{name}" for name in _MEANINGS)
"""Names of measures: the means of grades,"""
MISSING = "judge_missing"
"""what has none,"""
AGREEMENT = tuple(f"judge_kappa_{name}" for name in _MATCHES)
"""and agreement with matching by words."""

Grades = Mapping[str, float] | None
"""Accuracy and fluency of one answer; None: the judge gave none."""


def judged_measures(split: str, records: Sequence[Record], grades: Sequence[Grades]) -> list[Measure]:
    """The measures of one split: what has no grade is missing, never 0, and `judge_missing` counts it.

    Args:
        split: of the records.
        records: that were judged.
        grades: one for each record.
    """
    clusters = [record.cluster for record in records]
    found = [
        measure(
            estimate_mean(
                [None if g is None else g[name] for g in grades], clusters, key=f"{split}/judge_{name}", unit=True
            ),
            name=f"judge_{name}",
            split=split,
            direction="none",
            meaning=meaning,
            absent=f"the judge graded none of {len(records)} answers",
        )
        for name, meaning in _MEANINGS.items()
    ]
    found.append(
        Measure(
            name=MISSING,
            split=split,
            value=float(sum(g is None for g in grades)),
            count=len(grades),
            meaning="Answers without a grade: no reply of the judge, or one that cannot be read.",
        )
    )
    return found + [_agreement(split, name, records, grades) for name in _MATCHES]


def _agreement(split: str, name: str, records: Sequence[Record], grades: Sequence[Grades]) -> Measure:
    value_of, words = _MATCHES[name]
    both = [
        (grade["accuracy"] >= RIGHT, matched >= RIGHT, record.cluster)
        for record, grade in zip(records, grades, strict=True)
        if grade is not None and (matched := value_of(record)) is not None
    ]
    full = f"judge_kappa_{name}"
    estimate: Estimate = kappa(
        [a for a, _, _ in both], [b for _, b, _ in both], [c for _, _, c in both], key=f"{split}/{full}"
    )
    meaning = f"Cohen's κ of the judge (accuracy of at least a half) and {words}: 0 = as by chance, 1 = they agree."
    return measure(estimate, name=full, split=split, direction="none", meaning=meaning)
