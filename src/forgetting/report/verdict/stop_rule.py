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


def missed(run: Results) -> list[str]:
    """A sentence for every stage that did not reach its goal."""
    return [_finding(stage).text for stage in run.stages if stage.success is False]


def _finding(stage: StageResult) -> Finding:
    limits = _limits(stage.thresholds) if stage.thresholds else f" ({stage.goal})" if stage.goal else ""
    if stage.success and not stage.steps and not stage.epochs:
        return Finding("Goal", "open", f"Stage {stage.name} was at its goal before its first step{limits}.")
    if stage.success:
        return Finding("Goal", "good", f"Stage {stage.name} reached its goal after {_epochs(stage)}{limits}.")
    return Finding("Goal", "bad", f"Stage {stage.name} did not reach its goal within {_epochs(stage)}{limits}.")


def _epochs(stage: StageResult) -> str:
    return "1 epoch" if stage.epochs == 1 else f"{float(f'{stage.epochs:.3g}'):g} epochs"


def _limits(at: Thresholds) -> str:
    likelihood, accuracy = wording.number(at.extraction_likelihood), wording.number(at.memorization_accuracy)
    return f" (EL_{at.n} at most {likelihood} and MA at most {accuracy}, those of unseen text before)"
