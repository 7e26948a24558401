"""From one number per record to a metric: the mean over a split, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from forgetting.core.measure import Direction, Measure
from forgetting.core.record import Record
from forgetting.metrics.metric import Metric, Splits
from forgetting.metrics.statistics import Estimate, estimate_mean


@dataclass(frozen=True, slots=True)
class Caveat:
    """Records of which a number says less, or something else, than it says of others."""

    holds: Callable[[Record], bool]
    says: str
    """What is so of them, behind `3 of 40 answers hold `."""


@dataclass(frozen=True, slots=True)
class PerExample:
    """A number that one record alone gives. A new metric is often just one of these."""

    name: str
    value_of: Callable[[Record], float | None]
    """None (or NaN): this record cannot be scored. It then counts for nothing, never as 0."""
    meaning: str
    """One line for a reader who knows neither the name nor the formula."""
    needs: str
    """What a record must have: `a score of its answer`. Said where no record of a split has it."""
    unit: bool = False
    """Whether it lies between 0 and 1 by its definition: then equal values of all records have an interval too."""
    caveats: tuple[Caveat, ...] = ()
    """Counted over the records that have a value, and said behind the meaning where there are any."""


def mean(what: PerExample, splits: Sequence[str], direction: Direction) -> Metric:
    """The mean of `what` over the scored records of each of `splits`, one measure a split, named `what.name`.

    See `forgetting.metrics.statistics.estimate_mean` for the interval. A split without records, or in which no record
    can be scored, gives a measure without a value.
    """

    def metric(records: Splits, oracle: Splits | None) -> list[Measure]:
        return [_mean_of(what, split, records.get(split, ()), direction) for split in splits]

    return metric


def toward_oracle(metric: Metric) -> Metric:
    """The same measures, with direction `oracle` on splits that the oracle was asked too: there, its value is the goal.

    A model that never saw the forget set is the goal of forgetting; below it is over-forgetting.
    """

    def directed(records: Splits, oracle: Splits | None) -> list[Measure]:
        asked = {split for split, answered in (oracle or {}).items() if answered}
        measures = metric(records, oracle)
        return [replace(m, direction="oracle") if m.split in asked else m for m in measures]

    return directed


def unscored(split: str, records: Sequence[Record], needs: str) -> str:
    """The reason why a split has no value."""
    if not records:
        return f"no records of split '{split}'"
    return f"none of the {len(records)} records of split '{split}' has {needs}"


def measure(
    estimate: Estimate,
    *,
    name: str,
    split: str,
    direction: Direction,
    meaning: str,
    absent: str = "",
    of: int | None = None,
) -> Measure:
    """An estimate as a measure; `absent` is the reason where it has no value and gives no reason itself.

    See `Measure` for `of`.
    """
    return Measure(
        name=name,
        split=split,
        value=estimate.value,
        count=estimate.count,
        low=estimate.low,
        high=estimate.high,
        direction=direction,
        meaning=meaning,
        reason="" if estimate.value is not None else estimate.reason or absent,
        of=of,
    )


def caveats_of(what: PerExample, records: Sequence[Record]) -> str:
    """Of how many of these records, all of which have a value, each caveat holds; empty if none does."""
    counts = [(sum(map(caveat.holds, records)), caveat.says) for caveat in what.caveats]
    return "".join(f" {count:,} of {len(records):,} answers hold {says}" for count, says in counts if count)


def _mean_of(what: PerExample, split: str, records: Sequence[Record], direction: Direction) -> Measure:
    values = [what.value_of(record) for record in records]
    scored = [record for record, value in zip(records, values, strict=True) if value is not None]
    estimate = estimate_mean(
        values,
        [record.cluster for record in records],
        key=f"{split}/{what.name}",
        unit=what.unit,
    )
    return measure(
        estimate,
        name=what.name,
        split=split,
        direction=direction,
        meaning=what.meaning + caveats_of(what, scored),
        absent=unscored(split, records, what.needs),
        of=_of(what, records, scored),
    )


def _of(what: PerExample, records: Sequence[Record], scored: Sequence[Record]) -> int | None:
    """The number of records, if the value needs what a model writes and it wrote for only some of them."""
    if not scored or all(record.has_text for record in records):
        return None
    return len(records) if what.value_of(scored[0].without_text) is None else None
