"""What rests on a sample of a split's examples, and how far the sample may be from all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding
from forgetting.runs.results import Results, labels


def samples(runs: Sequence[Results]) -> list[Finding]:
    """A finding for each run that wrote text for a sample, as its recipe's `sample` asked for."""
    keys = headline_measures.headline_keys(runs)
    found = []
    for run, name in zip(runs, labels(runs), strict=True):
        asked = run.recipe.get("sample")
        measures = [m for m in (run.after.measures if run.after else ()) if m.of is not None and m.value is not None]
        if isinstance(asked, Mapping) and measures:
            said = _said(measures, [m for m in measures if m.key in keys], asked)
            found.append(Finding("Sample" if len(runs) == 1 else f"Sample of {name}", "note", said))
    return found


def counted(measure: Measure | None) -> str:
    """Behind a value that rests on some of the records: ` on 20 of 80`; else nothing."""
    if measure is None or measure.of is None:
        return ""
    return f" on {wording.count(measure.count)} of {wording.count(measure.of)}"


def of_all(measure: Measure) -> tuple[float, float] | None:
    """Where the mean of all `measure.of` examples lies, with 95%, given that of the `measure.count` drawn ones.

    The interval of the measure is for any examples like these; for those that are there it is narrower by the
    finite-population factor √(1 − n/N) (Cochran 1977, eq. 2.9). None without an interval.
    """
    if measure.of is None or measure.value is None or measure.low is None or measure.high is None:
        return None
    narrowed = math.sqrt(max(0.0, 1 - measure.count / measure.of))
    low, high = (measure.value + narrowed * (end - measure.value) for end in (measure.low, measure.high))
    return low, high


def _said(measures: Sequence[Measure], shown: Sequence[Measure], asked: Mapping[str, object]) -> str:
    splits = {m.split: m for m in sorted(measures, key=lambda m: m.count)}  # the largest count of each
    parts = [f"{wording.count(m.count)} of {wording.count(m.of)} examples of {split}" for split, m in splits.items()]
    ends = [(m, between) for m in shown if (between := of_all(m)) is not None]
    values = [f"{wording.title(m)} between {wording.number(low)} and {wording.number(high)}" for m, (low, high) in ends]
    of_them = f" Of all examples (95 %): {'; '.join(values)}." if values else ""
    return (
        f"Text was written for {wording.join(parts)}, drawn by seed {asked.get('seed', 0)}. What needs text rests on "
        f"these; likelihoods are of all.{of_them}"
    )
