"""Whether stages reached the goal at which they were to stop."""

from __future__ import annotations

from forgetting.metrics.extraction import Thresholds
from forgetting.report import wording
from forgetting.report.verdict.finding import Finding
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult


def goals(run: Results) -> list[Finding]:
    """One sentence for every stage that had a stop rule."""
    return [_finding(stage) for stage in run.stages if stage.success is not None]


def _finding(stage: StageResult) -> Finding:
    epochs = f"{stage.epochs:g} epochs"
    limits = _limits(stage.thresholds) if stage.thresholds else f" ({stage.goal})" if stage.goal else ""
    if stage.success:
        return Finding("Goal", "good", f"Stage {stage.name} reached its goal after {epochs}{limits}.")
    return Finding("Goal", "bad", f"Stage {stage.name} did not reach its goal within {epochs}{limits}.")


def _limits(at: Thresholds) -> str:
    likelihood, accuracy = wording.number(at.extraction_likelihood), wording.number(at.memorization_accuracy)
    return f" (EL_{at.n} at most {likelihood} and MA at most {accuracy}, those of unseen text before)"
