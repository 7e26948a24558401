"""A stage that had a stop rule says whether it reached its goal."""

from pathlib import Path

from forgetting.metrics.extraction import Thresholds
from forgetting.report.verdict.stop_rule import goals
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult


def run(**stage: object) -> Results:
    result = StageResult(name="unlearn", method="ihl", epochs=10.0, **stage)  # type: ignore[arg-type]
    return Results(folder=Path("x"), name="x", status="complete", stages=(result,))


def test_a_goal_that_was_reached_names_its_limits() -> None:
    limits = Thresholds(10, extraction_likelihood=0.01, memorization_accuracy=0.3)
    [finding] = goals(run(success=True, thresholds=limits))
    assert finding.tone == "good"
    assert finding.text == (
        "Stage unlearn reached its goal after 10 epochs (EL_10 at most 0.0100 and MA at most 0.300, those of unseen "
        "text before)."
    )


def test_a_goal_that_was_missed_is_bad_news() -> None:
    [finding] = goals(run(success=False))
    assert (finding.tone, finding.text) == ("bad", "Stage unlearn did not reach its goal within 10 epochs.")


def test_no_rule_no_finding() -> None:
    assert goals(run()) == []
