"""What a metric is: a pure function of records. It needs no model and no GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from forgetting.core.measure import Measure
from forgetting.core.record import Record

Splits = Mapping[str, Sequence[Record]]
"""Records by the name of their split."""

Metric = Callable[[Splits, Splits | None], Sequence[Measure]]
"""`(records, oracle records or None) -> measures`; what cannot be measured is a Measure of value None with a reason."""
