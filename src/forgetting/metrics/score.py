"""From records to measures: what an evaluation, a saved run and a published log all end in."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.errors import DataError, RecipeError
from forgetting.core.measure import Measure
from forgetting.core.record import Record
from forgetting.core.text import quoted
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.statistics import records_by_id


def score(
    metrics: Sequence[Metric], records: Sequence[Record], oracle: Sequence[Record] | None = None
) -> list[Measure]:
    """All measures of `metrics` on `records`, in the order of the metrics.

    Args:
        metrics: e.g. `standard_metrics()` or those of a suite.
        records: of one model, of any splits.
        oracle: of a model that never saw the forget set, on the same examples; None if there is none. Splits that it
            was not asked at all are no obstacle, as long as there is one that it was asked.

    Raises:
        DataError: an id occurs twice in a split, or the oracle was asked other questions.
        RecipeError: two metrics give a measure of the same split and name.
    """
    splits = by_split(records, "the records")
    of_oracle = None if oracle is None else by_split(oracle, "the oracle's records")
    if of_oracle is not None:
        _check_questions(splits, of_oracle)
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


def _check_questions(splits: Splits, oracle: Splits) -> None:
    """An oracle's value on other questions is no goal for these."""
    asked = [split for split in splits if oracle.get(split)] or list(splits)
    ours = [record for split in asked for record in splits[split]]
    theirs = {(record.split, record.id): record for split in asked for record in oracle.get(split, ())}
    strange = [record for record in ours if not _same(record, theirs.get((record.split, record.id)))]
    if strange:
        first = strange[0]
        raise DataError(
            f"the oracle's records are of other questions: split '{first.split}', id {quoted(first.id)} "
            f"({quoted(first.prompt or first.answer)}) is not among them "
            f"({len(ours) - len(strange)} of {len(ours)} match); evaluate the oracle on the same suite"
        )


def _same(record: Record, other: Record | None) -> bool:
    return other is not None and (not record.prompt or not other.prompt or record.prompt == other.prompt)
