"""A run that forgets no set is judged by what its training made better and worse."""

from __future__ import annotations

from pathlib import Path

from forgetting.core.measure import Direction, Measure
from forgetting.report.learning import forgets_nothing
from forgetting.report.results import Evaluation, Results
from forgetting.report.verdict import verdict


def measure(split: str, name: str, value: float, direction: Direction = "up", width: float = 0.02) -> Measure:
    return Measure(
        name=name, split=split, value=value, count=100, low=value - width, high=value + width, direction=direction
    )


def run_of(before: list[Measure], after: list[Measure]) -> Results:
    evaluations = (
        Evaluation(point="before", measures=tuple(before)),
        Evaluation(point="after", stage="train", measures=tuple(after)),
    )
    return Results(folder=Path("run"), name="run", status="complete", evaluations=evaluations)


def test_better_worse_and_not_told_apart_by_direction() -> None:
    before = [
        measure("tasks", "exact_match", 0.2),
        measure("text", "perplexity", 9.0, "down"),
        measure("old", "acc", 0.5),
    ]
    after = [
        measure("tasks", "exact_match", 0.7),
        measure("text", "perplexity", 20.0, "down"),
        measure("old", "acc", 0.51),
    ]
    run = run_of(before, after)
    assert forgets_nothing(run)
    judged = verdict(run)
    assert judged.headline == "Of 3 measures 1 are better than at the start, 1 worse, 1 not told apart."
    assert judged.tone == "mixed"
    texts = {finding.topic: finding.text for finding in judged.findings}
    assert texts["Better"].startswith("tasks · exact match 0.200 → 0.700")
    assert texts["Worse"].startswith("text · perplexity 9.00 → 20.0")
    assert texts["Not told apart"].startswith("old · acc")


def test_a_run_with_a_forget_set_is_judged_by_it() -> None:
    ends = [[measure("forget", "probability", value), measure("tasks", "exact_match", 0.5)] for value in (0.9, 0.1)]
    assert not forgets_nothing(run_of(*ends))
    assert "forget set" in verdict(run_of(*ends)).headline


def test_without_a_start_there_is_nothing_to_compare() -> None:
    assert not forgets_nothing(run_of([], [measure("tasks", "exact_match", 0.5)]))
