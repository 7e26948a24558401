"""Whether the models' confidence among offered answers is justified, before and after."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, Work, by_role, read
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.resampled import estimate_statistic
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.core.series import Series
from forgetting.evaluation.answers import answer
from forgetting.metrics.calibration import (
    BINS,
    Judged,
    area_under_risks,
    calibration_error,
    judged,
    reliability,
    risks,
)
from forgetting.metrics.likelihood import usable
from forgetting.metrics.per_example import measure
from forgetting.metrics.proportions import wilson
from forgetting.metrics.statistics import Estimate, Floats
from forgetting.models.view import View

Of = Callable[[Judged], float]
_RESAMPLES = 500
_MEASURES: dict[str, tuple[Of, str]] = {
    "accuracy": (lambda j: float(j.correct_N.mean()), "Share of questions whose likeliest option is the right one."),
    "confidence": (lambda j: float(j.confidence_N.mean()), "Mean probability of the likeliest option."),
    "ece": (calibration_error, f"Calibration error ({BINS} bins): mean |accuracy - confidence|. 0 = justified."),
    "brier": (lambda j: float(j.brier_N.mean()), "Brier score: Σ over options of (p - right)². 0 = certain and right."),
    "nll": (lambda j: float(j.nll_N.mean()), "-log p of the right option, nats."),
    "aurc": (area_under_risks, "Mean share of wrong answers among the k most confident, over all k (AURC)."),
}
_GUESS: dict[str, Callable[[Floats], float]] = {
    "accuracy": lambda options_N: float((1 / options_N).mean()),
    "brier": lambda options_N: float((1 - 1 / options_N).mean()),
    "nll": lambda options_N: float(np.log(options_N).mean()),
}


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    """Every question with all its answers through both models, and intervals of statistics of the whole set."""

    def of(rows: Rows) -> Cost:
        if not rows.offered:
            return Cost()
        per_example = 1 + sum(rows.offered) / rows.count
        found = read(known.shape, rows, times=2 * per_example)
        clusters = min(rows.clusters, len(rows.offered))
        count = 2 * len(_MEASURES) * _RESAMPLES
        work = Work(redrawn=count * clusters, resamples=3 * count)
        return found.then(Cost(work))

    return by_role(known, of)


@register_analysis("calibration", cost=_cost, oracle=False)
def calibration() -> Analysis:
    """Calibration among the right answer and the wrong ones offered, at the start and after (F2F, appendix A.6).

    The options of a question are its answer and its wrong answers, each with p^(1/tokens), normalised; their order is
    shuffled by the question's id, so that ties do not go to the right one. ECE in 15 bins, Brier score as a sum, NLL,
    reliability, risk against coverage, and always accuracy and what a uniform guess gives: a model that guesses is
    well calibrated (the paper's F2F row is nearly that of a four-way guess). Intervals are clustered by source
    example; ECE of few questions is biased upwards, and so is its interval. Questions without wrong answers are left
    out.
    """

    def analysis(compared: Compared) -> Findings:
        parts = [_of_role(compared, role, some) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


def options_of(record: Record) -> tuple[list[float], int] | None:
    """The probabilities of a record's options in shuffled order, and the place of the right one.

    Returns:
        None where it offers no wrong answer, or an option has no score.
    """
    right = record.paraphrase if record.paraphrase is not None else record.score
    scores = [usable(score) for score in (right, *record.perturbed)]
    logs = np.array([-score.loss for score in scores if score is not None])
    if len(logs) < max(len(scores), 2) or not np.isfinite(logs.max()):
        return None
    shares = np.exp(logs - logs.max())
    order = list(range(len(shares)))
    random.Random(record.id).shuffle(order)
    return [float(shares[i] / shares.sum()) for i in order], order.index(0)


def _of_role(compared: Compared, role: str, examples: Sequence[Example]) -> Findings:
    offered = [e for e in examples if e.perturbed]
    measures: list[Measure] = []
    series: list[Series] = []
    for point, view in (("start", compared.start), ("after", compared.after)):
        pairs, clusters = _judged(compared, view, role, offered)
        found = judged([p for p, _ in pairs], [place for _, place in pairs]) if pairs else None
        measures += [_measure(role, point, name, found, clusters, len(offered)) for name in _MEASURES]
        if found is not None:
            series += _series(f"{role}, {point}", found)
            if point == "start":
                measures += _guesses(role, found)
    return Findings(measures=tuple(measures), series=tuple(series))


def _judged(
    compared: Compared, view: View, role: str, examples: Sequence[Example]
) -> tuple[list[tuple[list[float], int]], list[str]]:
    if not examples:
        return [], []
    with view.active() as model:
        records = answer(
            model,
            compared.tokenizer,
            examples,
            split=role,
            formatting=compared.formatting,
            max_new_tokens=0,
            voice=compared.voice,
        )
    kept = [(options, r.cluster) for r in records if (options := options_of(r)) is not None]
    return [options for options, _ in kept], [cluster for _, cluster in kept]


def _measure(role: str, point: str, name: str, found: Judged | None, clusters: Sequence[str], offered: int) -> Measure:
    statistic, meaning = _MEASURES[name]
    absent = f"none of the {offered} questions with wrong answers could be scored" if offered else "no wrong answers"
    estimate = Estimate(None, 0, reason=absent)
    if found is not None:
        whole = found

        def of(indices_N: Floats) -> float:
            return statistic(_picked(whole, indices_N.astype(int)))

        places = [float(i) for i in range(len(clusters))]
        estimate = estimate_statistic(places, clusters, of, key=f"{role}/{name}/{point}", resamples=_RESAMPLES)
        if estimate.value is not None and math.isinf(estimate.value):
            estimate = replace(estimate, value=None, low=None, high=None, reason="a right option has probability 0")
    return measure(estimate, name=f"{name}_{point}", split=role, direction="none", meaning=f"{meaning} ({point})")


def _picked(found: Judged, places_N: np.ndarray) -> Judged:
    return Judged(
        confidence_N=found.confidence_N[places_N],
        correct_N=found.correct_N[places_N],
        nll_N=found.nll_N[places_N],
        brier_N=found.brier_N[places_N],
        options_N=found.options_N[places_N],
    )


def _guesses(role: str, found: Judged) -> list[Measure]:
    return [
        Measure(
            name=f"{name}_guess",
            split=role,
            value=of(found.options_N),
            count=len(found.options_N),
            meaning=f"{_MEASURES[name][1]} (what a uniform guess gives)",
        )
        for name, of in _GUESS.items()
    ]


def _series(name: str, found: Judged) -> list[Series]:
    bins = [b for b in reliability(found) if b.count]
    ends = [wilson(b.right / b.count, b.count) for b in bins]
    count = len(found.confidence_N)
    coverages = [(k + 1) / count for k in range(count)]
    return [
        Series(
            figure="reliability",
            name=name,
            x_label="confidence",
            y_label="accuracy",
            x=tuple(b.confidence or 0.0 for b in bins),
            y=tuple(b.accuracy for b in bins),
            low=tuple(low for low, _ in ends),
            high=tuple(high for _, high in ends),
        ),
        Series(
            figure="confidences",
            name=name,
            x_label="confidence",
            y_label="share of the questions with this confidence",
            x=tuple((b.low + b.high) / 2 for b in reliability(found)),
            y=tuple(b.count / count for b in reliability(found)),
        ),
        Series(
            figure="risk_coverage",
            name=name,
            x_label="share of the questions that are answered, the most confident first",
            y_label="share of the answered questions that is wrong",
            x=tuple(coverages),
            y=tuple(map(float, risks(found))),
        ),
    ]
