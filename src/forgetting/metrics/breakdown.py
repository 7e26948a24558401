"""The same metric on parts of a split: by popularity, by kind. Rare and popular facts are not forgotten alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.metric import Metric, Splits

Groups = Mapping[str, tuple[Sequence[Record], str]]
"""Name of a group -> its records and a sentence on what it is."""

BINS = ("rare", "middle", "popular")


def by_popularity(metric: Metric, bins: Sequence[str] = BINS, edges: Sequence[float] | None = None) -> Metric:
    """The measures of `metric` on each popularity bin of each split, named `probability[popular]`.

    A bin holds the records with popularity above the edge below it, up to and including the edge above it. Without
    `edges`, they are quantiles of the split's own records, so that bins are about equally large. Records without
    popularity are left out; a split in which no record has any gives no measures, one in which all are equally popular
    gives measures without a value. Only measures of single splits are broken down.

    Args:
        metric: any metric.
        bins: names from least to most popular.
        edges: rising, one fewer than bins.

    Raises:
        RecipeError: the number of edges does not fit the bins, or the edges do not rise.
    """
    if len(bins) < 2:
        raise RecipeError(f"popularity needs at least two bins, not {len(bins)}")
    if edges is not None and (len(edges) != len(bins) - 1 or any(a >= b for a, b in pairwise(edges))):
        raise RecipeError(f"{len(bins)} popularity bins need {len(bins) - 1} rising edges, not {list(edges)}")

    def groups(records: Sequence[Record]) -> Groups:
        return _popularity_bins(records, bins, edges)

    return _broken_down(metric, groups)


def by_kind(metric: Metric) -> Metric:
    """The measures of `metric` on the records of each kind (a relation, a skill) of each split: `exact_match[copy]`.

    Records without a kind are left out; a split of fewer than two kinds gives no measures. Only measures of single
    splits are broken down.
    """

    def groups(records: Sequence[Record]) -> Groups:
        kinds = sorted({record.kind for record in records if record.kind})
        if len(kinds) < 2:
            return {}
        return {kind: ([r for r in records if r.kind == kind], f"Only records of kind '{kind}'.") for kind in kinds}

    return _broken_down(metric, groups)


def by_group(metric: Metric, groups: Mapping[str, Collection[str]], about: Mapping[str, str]) -> Metric:
    """The measures of `metric` on named groups of examples, which may overlap: `rouge_l_recall[reversed]`.

    A split that holds no record of a group gives no measure of it. Only measures of single splits are broken down.

    Args:
        metric: any metric.
        groups: ids of the examples in each group.
        about: a sentence on each group, behind the meaning of its measures.
    """

    def members(records: Sequence[Record]) -> Groups:
        found = {name: [r for r in records if r.id in ids] for name, ids in groups.items()}
        return {name: (some, about[name]) for name, some in found.items() if some}

    return _broken_down(metric, members)


def _broken_down(metric: Metric, groups: Callable[[Sequence[Record]], Groups]) -> Metric:
    def metric_by_group(records: Splits, oracle: Splits | None) -> list[Measure]:
        return [
            _named(measure, group, members, about)
            for split in records
            for group, (members, about) in groups(records[split]).items()
            for measure in metric({split: members}, _same_ids(split, members, oracle))
            if measure.split == split
        ]

    return metric_by_group


def _named(measure: Measure, group: str, members: Sequence[Record], about: str) -> Measure:
    named = replace(measure, name=f"{measure.name}[{group}]", meaning=f"{measure.meaning} {about}".strip())
    return (
        named if members else replace(named, value=None, reason=f"no record of split '{measure.split}' is in '{group}'")
    )


def _same_ids(split: str, members: Sequence[Record], oracle: Splits | None) -> Splits | None:
    if oracle is None:
        return None
    ids = {record.id for record in members}
    return {split: [record for record in oracle.get(split, ()) if record.id in ids]}


def _popularity_bins(records: Sequence[Record], bins: Sequence[str], edges: Sequence[float] | None) -> Groups:
    known = [(record, record.popularity) for record in records if record.popularity is not None]
    if not known:
        return {}
    popularity_N = np.array([popularity for _, popularity in known])
    if edges is not None:
        inner = np.asarray(edges, dtype=np.float64)
    elif np.ptp(popularity_N):
        inner = np.quantile(popularity_N, np.arange(1, len(bins)) / len(bins))
    else:
        return dict.fromkeys(bins, ((), f"All records have popularity {popularity_N[0]:g}."))
    index_N = np.searchsorted(inner, popularity_N, side="left")
    return {
        name: (
            [record for (record, _), n in zip(known, index_N, strict=True) if n == bin_],
            _range(inner.tolist(), bin_),
        )
        for bin_, name in enumerate(bins)
    }


def _range(inner: Sequence[float], bin_: int) -> str:
    if bin_ == 0:
        return f"Only popularity up to {inner[0]:g}."
    if bin_ == len(inner):
        return f"Only popularity above {inner[-1]:g}."
    return f"Only popularity above {inner[bin_ - 1]:g} and up to {inner[bin_]:g}."
