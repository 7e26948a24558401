"""The verdict on a run that has not come to its end: where it is and what was measured last; nothing is judged."""

from __future__ import annotations

from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import value_at
from forgetting.report.verdict.models import capital
from forgetting.runs.progress import RunProgress, progress_of
from forgetting.runs.results import Results


def not_finished(run: Results) -> tuple[str, tuple[Finding, ...]]:
    """A sentence on how far the run is, and a finding for each of the measures in front.

    Raises:
        RunError: a file of the run is damaged.
    """
    progress = progress_of(run.folder)
    goes_on = progress.state == "running"
    after = "it goes on" if goes_on else "no process runs it: start it again to resume it"
    if progress.state == "pruned":
        after = "start it again to run it to its end"
    text = f"Not finished: {progress.doing}; {after}. Nothing is judged before the end."
    return text, tuple(_so_far(run, progress))


def _so_far(run: Results, progress: RunProgress) -> list[Finding]:
    """What each measure in front was before, is now, and is in the oracle."""
    latest = progress.latest
    asked = {
        "Forget set so far": headline_measures.forgetting_key([run]),
        "Retain set so far": headline_measures.retention_key([run]),
        "Utility so far": headline_measures.utility_key([run]),
    }
    found = []
    for topic, key in asked.items():
        before, now, oracle = (value_at(e, key) for e in (run.before, latest, run.oracle_evaluation))
        said = {
            "before": before,
            "" if latest is None else f"at step {latest.step} of {latest.stage}": now,
            "oracle": oracle,
        }
        parts = [f"{where} {wording.with_interval(m)}" for where, m in said.items() if m is not None]
        sample = now or before or oracle
        if sample is not None:
            found.append(Finding(topic, "open", f"{capital(wording.title(sample))}: {wording.join(parts)}."))
    return found
