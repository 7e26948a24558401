"""A run that forgets no set is judged by what its training made better and worse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.declaration import Declaration, Headline
from forgetting.core.measure import Direction, Measure
from forgetting.report.verdict.finetuning import forgets_nothing
from forgetting.report.verdict.verdict import Verdict, verdict
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult
from tests.report.verdict.recorded import recorded


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


@pytest.mark.parametrize(("end", "failed"), [(0.1, True), (0.6, False)])
def test_a_run_that_only_learns_and_loses_most_of_something_failed(end: float, failed: bool) -> None:
    """Its headline counted "1 worse", and it was pushed without a word."""
    known = [measure("tasks", "exact_match", 0.2), measure("old", "acc", 0.9)]
    judged = verdict(run_of(known, [measure("tasks", "exact_match", 0.7), measure("old", "acc", end)]))
    said = ("Less than half is left of what the start knew: old \N{MIDDLE DOT} acc 0.900 → 0.100.",)
    assert judged.failed == (said if failed else ())
    assert judged.headline.startswith(said[0]) is failed
    assert judged.tone == ("bad" if failed else "mixed")


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
    assert judged.headline == "Of 3 measures 1 is better than at the start, 1 worse, 1 not told apart."
    assert judged.tone == "mixed"
    texts = {finding.topic: finding.text for finding in judged.findings}
    assert texts["Better"].startswith("tasks · exact match 0.200 → 0.700")
    assert texts["Worse"].startswith("text · perplexity 9.00 → 20")
    assert texts["Not told apart"].startswith("old · acc")


def test_a_run_with_a_forget_set_is_judged_by_it() -> None:
    ends = [[measure("forget", "probability", value), measure("tasks", "exact_match", 0.5)] for value in (0.9, 0.1)]
    assert not forgets_nothing(run_of(*ends))
    assert "forget set" in verdict(run_of(*ends)).headline


def test_without_a_start_there_is_nothing_to_compare() -> None:
    assert not forgets_nothing(run_of([], [measure("tasks", "exact_match", 0.5)]))


def test_a_run_that_forgets_and_then_trains_says_what_held_out_data_gained() -> None:
    def judged(held_out: float) -> Verdict:
        ends = [
            [measure("forget", "probability", forget), measure("holdout", "probability", held)]
            for forget, held in ((0.9, 0.3), (0.1, held_out))
        ]
        return verdict(replace(run_of(*ends), data={"forget": {}, "train": {}}))

    assert judged(0.8).headline.endswith("held-out data of what was trained on are known better than at the start.")
    assert "known worse than at the start" in judged(0.1).headline
    assert "not told apart from the start" in judged(0.31).headline
    found = next(finding for finding in judged(0.8).findings if finding.topic == "Learning")
    assert found.tone == "good" and "went from 0.300" in found.text


def test_a_run_that_only_forgets_says_nothing_of_learning() -> None:
    ends = [[measure("forget", "probability", x), measure("holdout", "probability", 0.5)] for x in (0.9, 0.1)]
    judged = verdict(replace(run_of(*ends), data={"forget": {}, "holdout": {}}))
    assert not any(finding.topic == "Learning" for finding in judged.findings)


def test_no_warning_where_even_the_lower_end_lies_above_the_start() -> None:
    ends = [[measure("forget", "probability", 0.5), measure("retain", "probability", x)] for x in (0.2, 0.6)]
    retain = next(f for f in verdict(run_of(*ends)).findings if f.topic == "Retain")
    assert "reaches down" not in retain.text


@pytest.mark.parametrize(
    ("steps", "end", "said"),
    [
        (
            1,
            0.21,
            "Stage train took 1 step, and no measure is told apart from the start. Try stages.train.duration='60 "
            "steps'; if that is not enough, stages.train.learning_rate=0.0003.",
        ),
        (
            59,
            0.21,
            "Stage train took 59 steps, and no measure is told apart from the start. Try "
            "stages.train.duration='177 steps'; if that is not enough, stages.train.learning_rate=0.0003.",
        ),
        (60, 0.21, None),
        (1, 0.7, None),
        (1, 0.1, None),
    ],
)
def test_a_run_that_learned_nothing_in_few_steps_says_what_to_raise(steps: int, end: float, said: str | None) -> None:
    stage = StageResult(name="train", method="sft", steps=steps, stopped="duration", learning_rate=1e-4)
    run = run_of([measure("tasks", "exact_match", 0.2)], [measure("tasks", "exact_match", end)])
    judged = verdict(replace(run, stages=(stage,)))
    assert [f.text for f in judged.findings if f.topic == "Movement"] == ([said] if said else [])


def test_a_run_that_learns_on_what_an_earlier_one_made_says_that_its_forget_set_may_have_come_back() -> None:
    ends = [[measure("train", "probability", value)] for value in (0.3, 0.9)]
    judged = verdict(replace(run_of(*ends), data={"train": {}}, earlier=("first",)))
    assert judged.headline.startswith("Of 1 measure 1 is better") and not judged.failed
    (text,) = [finding.text for finding in judged.findings if finding.topic == "Earlier requests"]
    assert text.startswith("The model comes from first. What was forgotten there is not measured here and may have")


def test_a_learning_run_that_measures_only_a_forget_set_does_not_say_that_nothing_was_measured() -> None:
    run = run_of([measure("forget", "probability", 0.1)], [measure("forget", "probability", 0.2)])
    stages = (StageResult(name="learn", method="sft", steps=100, forgets=False),)
    declared = Declaration(headline=Headline(forgotten=("forget/probability",)), forget_splits=("forget",))
    assert verdict(replace(run, stages=stages, declaration=declared)).headline == (
        "No measure of what was learned or is to stay was taken both at the start and at the end, so what training "
        "changed there is open."
    )


@pytest.mark.parametrize(
    ("end", "counts", "said"),
    [
        (
            [0.9, 0.95, 0.99],
            "1 is better than at the start, 0 worse",
            ("Better", "0.010 → 0.947 (0.900–0.990) in 3 of 3 examples, too few"),
        ),
        ([0.01, 0.01, 0.008], "0 are better than at the start, 0 worse", None),
    ],
)
def test_a_few_texts_that_were_learned_are_said_to_be(
    end: list[float], counts: str, said: tuple[str, str] | None, tmp_path: Path
) -> None:
    """Three texts learned by heart were "not told apart", and three times as many steps were advised."""
    judged = verdict(_few(tmp_path, "facts", [0.01] * 3, end))
    assert judged.headline.startswith(f"Of 1 measure {counts}, ")
    found = {finding.topic: finding.text for finding in judged.findings}
    assert ("Movement" in found) is (said is None)
    assert said is None or said[1] in found[said[0]]


def test_a_few_texts_that_were_lost_are_counted_as_worse_and_no_higher_rate_is_advised(tmp_path: Path) -> None:
    """The headline said that less than half is left, and after it that nothing is worse."""
    judged = verdict(_few(tmp_path, "facts", [0.9] * 3, [0.01, 0.02, 0.03]))
    assert "Of 1 measure 0 are better than at the start, 1 worse, 0 not told apart." in judged.headline
    assert [finding.topic for finding in judged.findings] == ["Worse", "How far this goes"]


def _few(folder: Path, split: str, before: list[float], after: list[float]) -> Results:
    """A run that only learns and measures a few texts, with their records."""
    declared = Declaration(headline=Headline(kept=(f"{split}/probability",)), retain_splits=(split,))
    stages = (StageResult(name="learn", method="sft", steps=30, stopped="duration", learning_rate=1e-3),)
    ends = {"before": {split: before}, "after": {split: after}}
    return recorded(folder, **ends, declared=declared, data={"train": {}}, stages=stages)  # type: ignore[arg-type]
