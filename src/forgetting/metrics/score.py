"""From records to measures: what an evaluation, a saved run and a published log all end in."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.metrics.metric import Metric
from forgetting.metrics.statistics import records_by_id


def score(
    metrics: Sequence[Metric], records: Sequence[Record], oracle: Sequence[Record] | None = None
) -> list[Measure]:
    """All measures of `metrics` on `records`, in the order of the metrics.

    Args:
        metrics: e.g. `standard_metrics()` or those of a suite.
        records: of one model, of any splits.
        oracle: of a model that never saw the forget set, on the same examples; None if there is none.

    Raises:
        DataError: an id occurs twice in a split, or the oracle was asked other questions than forget quality compares.
        RecipeError: two metrics give a measure of the same split and name.
    """
    splits = by_split(records, "the records")
    of_oracle = None if oracle is None else by_split(oracle, "the oracle's records")
    measures = [measure for metric in metrics for measure in metric(splits, of_oracle)]
    seen: set[str] = set()
    for measure in measures:
        if measure.key in seen:
            raise RecipeError(f"'{measure.key}' is measured by two metrics; give one of them another name")
        seen.add(measure.key)
    return measures


def by_split(records: Sequence[Record], what: str = "the records") -> dict[str, list[Record]]:
    """Records by the name of their split, in the order they come.

    Raises:
        DataError: an id occurs twice in a split.
    """
    splits: dict[str, list[Record]] = {}
    for record in records:
        splits.setdefault(record.split, []).append(record)
    for members in splits.values():
        records_by_id(members, what)
    return splits
