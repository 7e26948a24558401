"""How a run's measures changed from its start, and how far they are from its oracle: paired, for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forgetting.report.verdict.models import Models
from forgetting.report.verdict.paired import Side, paired
from forgetting.runs.results import Results


def changes(run: Results, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By measure, the end less the start (`from_before`) and less the oracle (`from_oracle`), on the same examples.

    Each with its 95% interval and the number of pairs, or with the reason why there is none. A point that the run did
    not measure is left out.
    """
    models = Models.of(run)
    points = {"from_before": models.before, "from_oracle": models.oracle}
    known = {name: side for name, side in points.items() if side.evaluation is not None}
    measured = [key for key in keys if models.after.value(key) is not None]
    return {key: {name: _plain(key, models.after, side) for name, side in known.items()} for key in measured}


def _plain(key: str, after: Side, other: Side) -> dict[str, Any]:
    found = paired(key, after, other)
    if found.value is None:
        return {"value": None, "reason": found.reason}
    plain = {"value": found.value, "low": found.low, "high": found.high, "count": found.count}
    return {**plain, "reason": found.reason} if found.reason else plain
