"""What stands in place of a verdict where models were measured as they are."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import value_at
from forgetting.report.verdict.samples import samples
from forgetting.runs.results import Results, labels

MEASURED = "Measured as it is: nothing was trained here, so nothing is said of forgetting."


def measured(runs: Sequence[Results]) -> list[Finding]:
    """One finding for each model: its measures in front, with intervals and counts; and what rests on a sample."""
    keys = headline_measures.headline_keys(runs)
    found = []
    for run, name in zip(runs, labels(runs), strict=True):
        known = [m for key in keys if (m := value_at(run.after, key)) is not None]
        said = [f"{wording.title(m)} {wording.with_interval(m)} (n {wording.count(m.count)})" for m in known]
        text = f"{'; '.join(said)}." if said else "No measure in front has a value."
        found.append(Finding(name, "note", text))
    return [*found, *samples(runs)]
