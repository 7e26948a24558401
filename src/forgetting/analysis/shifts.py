"""Changes of log p and rank of the right answers' tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forgetting.analysis.compared import Analysis, Compared, Findings
from forgetting.analysis.cost import Cost, Known, by_role, means, read, statistics
from forgetting.analysis.registry import register_analysis
from forgetting.analysis.resampled import estimate_statistic
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.evaluation.token_columns import Columns, token_columns
from forgetting.metrics.changes import mean_change
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, Floats
from forgetting.models.view import View
from forgetting.objectives.statistics import LOGP, RANK


@dataclass(frozen=True, slots=True)
class _Pair:
    """One example under both models: log p in nats, ranks from 1."""

    cluster: str
    start: Columns
    after: Columns

    def logp(self, place: str) -> tuple[float, float]:
        return _at(self.start[LOGP.name], place), _at(self.after[LOGP.name], place)

    def rank(self, place: str) -> tuple[float, float]:
        return 1 + _at(self.start[RANK.name], place), 1 + _at(self.after[RANK.name], place)


def _at(values: Sequence[float], place: str) -> float:
    return values[0] if place == "first" else sum(values) / len(values)


_PLACES = {"first": "the answer's first token", "answer": "the answer's tokens (a mean over them)"}


def _cost(known: Known, parameters: Mapping[str, Any]) -> Cost:
    return by_role(
        known,
        lambda rows: read(known.shape, rows, times=2).then(Cost(means(rows, 8) + statistics(rows, 4))),
    )


@register_analysis("shifts", cost=_cost, oracle=False)
def shifts() -> Analysis:
    """Change of log p and rank of the right answer, by role: at its first token, and as a mean over its tokens.

    DUET's appendix on representation (its table 6): Δ log p = log p_after − log p_start in nats, and Δ rank likewise;
    the rank of a token is 1 + the number of tokens that are more likely. Positive Δ log p: the answer became
    likelier; positive Δ rank: it moved down the list. The paper prints Δ log p without its sign, and means of ranks
    only, which a few outliers dominate: here the sign is kept, and the median and the geometric mean of
    rank_after / rank_start are reported beside its mean ranks and their difference. Intervals are clustered by source
    example. All tokens follow the same right tokens (teacher forcing); an end token belongs to the answer.
    """

    def analysis(compared: Compared) -> Findings:
        pairs = {role: _pairs(compared, role, members) for role, members in compared.examples.items() if members}
        measures = [m for role, some in pairs.items() for place in _PLACES for m in _measures(role, place, some)]
        series = [_series(role, place, some) for role, some in pairs.items() for place in _PLACES]
        return Findings(measures=tuple(measures), series=tuple(series))

    return analysis


def _pairs(compared: Compared, role: str, examples: Sequence[Example]) -> list[_Pair]:
    start, after = (_columns(compared, view, role, examples) for view in (compared.start, compared.after))
    return [_Pair(e.cluster, s, a) for e, s, a in zip(examples, start, after, strict=True)]


def _columns(compared: Compared, view: View, role: str, examples: Sequence[Example]) -> list[Columns]:
    def progress(done: int, total: int, note: str) -> None:
        compared.voice.progress(done, total, f"{role}: {note}")

    with view.active() as model:
        return token_columns(
            model,
            compared.tokenizer,
            examples,
            (LOGP, RANK),
            formatting=compared.formatting,
            progress=progress,
        )


def _measures(role: str, place: str, pairs: Sequence[_Pair]) -> list[Measure]:
    clusters = [pair.cluster for pair in pairs]
    of = _PLACES[place]
    logs = [after - start for start, after in (pair.logp(place) for pair in pairs)]
    starts, afters = zip(*(pair.rank(place) for pair in pairs), strict=True)
    ranks = [after - start for start, after in zip(starts, afters, strict=True)]
    ratios = [after / start for start, after in zip(starts, afters, strict=True)]

    def named(name: str, meaning: str, estimate: Callable[[str], Estimate]) -> Measure:
        name = f"{name}_{place}"
        return measure(estimate(f"{role}/{name}"), name=name, split=role, direction="none", meaning=meaning)

    def mean_rank(when: str, values: Sequence[float]) -> Measure:
        meaning = f"Mean rank of {of} among all tokens (1 = the likeliest), {when}."
        return named(f"rank_{when}", meaning, lambda key: mean_change(values, clusters, key=key))

    return [
        named(
            "delta_logp",
            f"Change of log p of {of}, nats; below 0: less likely than before.",
            lambda key: mean_change(logs, clusters, key=key),
        ),
        *(mean_rank(when, values) for when, values in (("start", starts), ("after", afters))),
        named(
            "delta_rank",
            f"Change of the rank of {of} among all tokens (1 = the likeliest); above 0: further down.",
            lambda key: mean_change(ranks, clusters, key=key),
        ),
        named(
            "median_delta_rank",
            f"Median change of the rank of {of}: robust to outliers.",
            lambda key: estimate_statistic(ranks, clusters, _median, key=key, of_order=True),
        ),
        named(
            "rank_ratio",
            f"Geometric mean of the ratio of ranks of {of}, after to before; 1 = unchanged.",
            lambda key: estimate_statistic(ratios, clusters, _geometric, key=key),
        ),
    ]


def _median(values_N: Floats) -> float:
    return float(np.median(values_N))


def _geometric(values_N: Floats) -> float:
    return float(np.exp(np.log(values_N).mean()))


def _series(role: str, place: str, pairs: Sequence[_Pair]) -> Series:
    """Every example as a point: before and after."""
    places = sorted(pair.logp(place) for pair in pairs)
    return Series(
        figure=f"logp_{place}",
        name=role,
        x_label=f"log p of {_PLACES[place]} at the start, nats",
        y_label="log p after, nats",
        x=tuple(start for start, _ in places),
        y=tuple(after for _, after in places),
        points=True,
    )
