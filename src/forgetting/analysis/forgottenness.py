"""How much less likely each example became: the distribution of ΔNLL, and where in the answer it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, Rows, by_role, means, read, statistics
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.resampled import estimate_statistic
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.evaluation.token_columns import token_columns
from forgetting.metrics.changes import mean_change
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import FEWEST, Estimate, Floats
from forgetting.models.view import View
from forgetting.objectives.statistics import LOGP

_POSITIONS = 32


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    def of(rows: Rows) -> Cost:
        places = min(_POSITIONS, max(rows.supervised, default=0))
        return read(known.shape, rows, times=2).then(Cost(means(rows, 1 + places) + statistics(rows, 2)))

    return by_role(known, of)


@register_analysis("forgottenness", cost=_cost, oracle=False)
def forgottenness() -> Analysis:
    """ΔNLL of each example, after minus start, by role (Forget-to-Focus, appendix A.3 and its table 6).

    NLL is the mean over an answer's tokens of -log p, nats. Reported are its mean with the bootstrap over
    source examples, its median, the paired effect size d = mean / standard deviation (ddof 1), and the standard
    deviations of the change and of both models: d says how even a shift is, not how large; it is no size across
    methods, and grows with nothing else. The count stands beside each. A second figure has the change by the token's
    place in the answer.
    """

    def analysis(compared: Compared) -> Findings:
        parts = [_of_role(compared, role, some) for role, some in compared.examples.items() if some]
        return Findings.joined(parts)

    return analysis


def effect_size(changes_N: Floats) -> float:
    """Cohen's d of paired changes: their mean over their standard deviation (ddof 1); NaN where all are alike."""
    spread = float(np.std(changes_N, ddof=1)) if len(changes_N) > 1 else 0.0
    return float(changes_N.mean()) / spread if spread > 1e-12 else math.nan


def _of_role(compared: Compared, role: str, examples: Sequence[Example]) -> Findings:
    start, after = (_nll(compared, view, role, examples) for view in (compared.start, compared.after))
    clusters = [e.cluster for e in examples]
    means = [(sum(s) / len(s), sum(a) / len(a)) for s, a in zip(start, after, strict=True)]
    changes = [now - then for then, now in means]
    return Findings(
        measures=tuple(measures_of(role, means, clusters)),
        series=(_spread(role, changes), *_by_place(role, start, after, clusters)),
    )


def _nll(compared: Compared, view: View, role: str, examples: Sequence[Example]) -> list[list[float]]:
    """-log p of each answer token."""
    with view.active() as model:
        columns = token_columns(
            model,
            compared.tokenizer,
            examples,
            (LOGP,),
            formatting=compared.formatting,
            progress=lambda done, total, note: compared.voice.progress(done, total, f"{role}: {note}"),
        )
    return [[-value for value in one[LOGP.name]] for one in columns]


def measures_of(role: str, pairs: Sequence[tuple[float, float]], clusters: Sequence[str]) -> list[Measure]:
    """From each example's NLL at the start and after, nats per token."""
    changes = [after - start for start, after in pairs]
    sizes = np.array(changes)
    effect = effect_size(sizes)
    no_effect = "all changes are alike" if math.isnan(effect) else ""
    key = f"{role}/delta_nll"
    count = len(pairs)
    estimates: dict[str, tuple[Estimate, str]] = {
        "delta_nll": (
            mean_change(changes, clusters, key=key),
            "Change of -log p per answer token, nats; above 0: less likely.",
        ),
        "median_delta_nll": (
            estimate_statistic(changes, clusters, _median, key=f"{key}/median", of_order=True),
            "Median change of -log p per answer token, nats.",
        ),
        "delta_nll_d": (
            Estimate(None, count, reason=no_effect)
            if no_effect
            else estimate_statistic(changes, clusters, effect_size, key=f"{key}/d"),
            "Paired effect size of the change: mean over standard deviation. How even it is, not how large.",
        ),
        "delta_nll_sd": (Estimate(_sd(sizes), count), "Standard deviation of the change between examples, nats."),
        "nll_sd_start": (
            Estimate(_sd([s for s, _ in pairs]), count),
            "Standard deviation of -log p at the start, nats.",
        ),
        "nll_sd_after": (Estimate(_sd([a for _, a in pairs]), count), "Standard deviation of -log p after, nats."),
    }
    return [
        measure(estimate, name=name, split=role, direction="none", meaning=meaning, absent="fewer than two examples")
        for name, (estimate, meaning) in estimates.items()
    ]


def _sd(values: Sequence[float] | Floats) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _median(values_N: Floats) -> float:
    return float(np.median(values_N))


def _spread(role: str, changes: Sequence[float]) -> Series:
    """Every example's change, in order: the share of examples that changed by less."""
    count = len(changes)
    return Series(
        figure="delta_nll",
        name=role,
        x_label="ΔNLL, nats per token",
        y_label="share of the examples",
        x=tuple(sorted(changes)),
        y=tuple((n + 1) / count for n in range(count)),
    )


def _by_place(
    role: str, start: Sequence[Sequence[float]], after: Sequence[Sequence[float]], clusters: Sequence[str]
) -> list[Series]:
    """The mean change at each place in the answer that enough examples have."""
    places, found = [], []
    for place in range(_POSITIONS):
        here = [(c, a[place] - s[place]) for s, a, c in zip(start, after, clusters, strict=True) if place < len(s)]
        if len(here) < FEWEST:
            break
        places.append(float(place + 1))
        found.append(mean_change([v for _, v in here], [c for c, _ in here], key=f"{role}/place/{place}"))
    if not places:
        return []
    return [
        Series(
            figure="delta_nll_by_place",
            name=role,
            x_label="token of the answer",
            y_label="ΔNLL, nats",
            x=tuple(places),
            y=tuple(e.value for e in found),
            low=tuple(e.low for e in found),
            high=tuple(e.high for e in found),
        )
    ]
