"""The rows of a board: runs that differ by their seed alone are one method, and what else differs names it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forgetting.core.measure import Measure
from forgetting.metrics.forget_quality import names_p_value
from forgetting.report import wording
from forgetting.report.board.entry import Entry
from forgetting.report.sweep.table import Statistic
from forgetting.report.table import Cell

_LONGEST = 4
"""Settings in a label."""
_METHOD = "method.name"


@dataclass(frozen=True, slots=True)
class Method:
    """One row: a method with its settings, and its runs."""

    label: str
    entries: tuple[Entry, ...]

    @property
    def seeds(self) -> int:
        """How many seeds it was run with."""
        return len(self.entries)

    def cell(self, key: str) -> Cell:
        """A measure at the end of its runs, averaged over them."""
        found = [None if e.run.after is None else e.run.after.measure(key) for e in self.entries]
        known = [m for m in found if m is not None]
        if not known:
            return Cell(None, "not part of its evaluations")
        measure = averaged(known, len(self.entries))
        values = tuple(m.value for m in known if m.value is not None)
        statistic = Statistic(values, p_value=names_p_value(measure.name))
        spread = statistic.spread_text.rpartition(" (")[0] if self.seeds > 1 and measure.value is not None else ""
        return Cell(measure, "" if measure.value is not None else measure.reason, spread=spread)


def methods(entries: Sequence[Entry]) -> list[Method]:
    """The rows for runs that compare, by label."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_key(entry), []).append(entry)
    rows = [sorted(group, key=lambda e: e.seed) for group in groups.values()]
    labels = [_label(group[0], [other[0] for other in rows]) for group in rows]
    numbers = [labels[: place + 1].count(label) for place, label in enumerate(labels)]
    told = [f"{label} #{n}" if labels.count(label) > 1 else label for label, n in zip(labels, numbers, strict=True)]
    found = [Method(label, tuple(group)) for label, group in zip(told, rows, strict=True)]
    return sorted(found, key=lambda method: method.label)


def averaged(measures: Sequence[Measure], runs: int) -> Measure:
    """One measure of several seeds: the mean, with the interval from the lowest to the highest end of theirs.

    Each seed's 95% interval is over the same examples and knows nothing of training's randomness; from the lowest end
    to the highest it errs on the side of telling nothing apart. The mean of p-values is geometric and has no interval.
    Where a seed has no value there is no mean: it would be one of the seeds that went well.

    Args:
        measures: of one name, of those runs that have it.
        runs: how many runs there are.
    """
    first = measures[0]
    if runs == 1:
        return first
    absent = [m for m in measures if m.value is None]
    lacking = runs - len(measures) + len(absent)
    if lacking:
        why = next((m.reason for m in absent if m.reason), "not part of the evaluation")
        return _with(first, None, None, None, reason=f"no value in {lacking} of {runs} seeds: {why}")
    values = tuple(m.value for m in measures if m.value is not None)
    p_value = names_p_value(first.name)
    lows, highs = [m.low for m in measures if m.low is not None], [m.high for m in measures if m.high is not None]
    whole = len(lows) == len(highs) == runs and not p_value
    mean = Statistic(values, p_value=p_value).mean
    return _with(first, mean, min(lows) if whole else None, max(highs) if whole else None, reason="")


def _with(m: Measure, value: float | None, low: float | None, high: float | None, *, reason: str) -> Measure:
    return Measure(
        name=m.name,
        split=m.split,
        value=value,
        count=m.count,
        low=low,
        high=high,
        direction=m.direction,
        meaning=m.meaning,
        reason=reason,
        of=m.of,
    )


def differing(rows: Sequence[Method]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings beside the method that are not the same in all rows: the key, and each value with its rows."""
    keys = dict.fromkeys(key for row in rows for key in row.entries[0].settings)
    found = []
    for key in keys:
        if "method" in key.split("."):
            continue
        values: dict[str, list[str]] = {}
        for row in rows:
            values.setdefault(_said(row.entries[0].settings.get(key, ...)), []).append(row.label)
        if len(values) > 1:
            found.append((key, [(value, wording.join(labels)) for value, labels in values.items()]))
    return found


def _key(entry: Entry) -> str:
    """What runs of one method have in common; one of which no recipe is known is alone."""
    alone = "" if entry.run.recipe else str(entry.run.folder)
    return json.dumps([entry.method, entry.settings, alone], sort_keys=True, default=str)


def _label(entry: Entry, others: Sequence[Entry]) -> str:
    """The method, with those settings in which rows of the same method differ."""
    same = [other for other in others if other.method == entry.method]
    keys = dict.fromkeys(key for other in same for key in other.settings if not key.endswith(_METHOD))
    apart = [key for key in keys if len({_said(other.settings.get(key, ...)) for other in same}) > 1]
    said = [f"{_short(key)} {_said(entry.settings[key])}" for key in apart if key in entry.settings]
    more = f" and {len(said) - _LONGEST} more" if len(said) > _LONGEST else ""
    return ", ".join([entry.method, *said[:_LONGEST]]) + more


def _short(key: str) -> str:
    return wording.plain(key.removeprefix("stages."))


def _said(value: Any) -> str:
    return wording.ABSENT if value is ... else "none" if value is None else wording.one_line(value)
