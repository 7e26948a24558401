"""A stage that had a stop rule says whether it reached its goal; one that moved almost nothing says what to raise."""

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.goal import Goal
from forgetting.metrics.limit import Limit
from forgetting.metrics.movement import Movement
from forgetting.report.verdict.stop_rule import goal_words, goals, goals_met, missed, reached
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult

LIMITS = Thresholds(10, extraction_likelihood=0.01, memorization_accuracy=0.55)
STUCK = Movement("forget/probability", 0.838, 0.838, 0.3, "unseen")


def run(*evaluations: Evaluation, **stage: object) -> Results:
    result = StageResult(name="unlearn", method="ihl", epochs=10.0, **stage)  # type: ignore[arg-type]
    return Results(folder=Path("x"), name="x", status="complete", stages=(result,), evaluations=evaluations)


def evaluation(point: str, forget: tuple[float, float], unseen: tuple[float, float], retain: float) -> Evaluation:
    values = {
        "forget/el_10": forget[0],
        "forget/memorization_accuracy": forget[1],
        "unseen/el_10": unseen[0],
        "unseen/memorization_accuracy": unseen[1],
        "retain/probability": retain,
        "unseen/probability": 0.2 if retain > 0.5 else 0.1,
    }
    measures = [Measure(name=k.split("/")[1], split=k.split("/")[0], value=v, count=1) for k, v in values.items()]
    return Evaluation(point=point, stage="unlearn" if point == "after" else None, measures=tuple(measures))  # type: ignore[arg-type]


BEFORE = evaluation("before", (0.9, 0.99), (0.01, 0.55), 0.94)


def test_a_goal_that_was_reached_says_forget_now_and_unseen_before_and_now() -> None:
    after = evaluation("after", (0.004, 0.41), (0.009, 0.54), 0.93)
    [finding] = goals(run(BEFORE, after, success=True, thresholds=LIMITS))
    assert finding.tone == "good"
    assert finding.text == (
        "Stage unlearn reached its goal after 10 epochs: forget has EL_10 0.00400 (unseen: 0.0100 before, 0.00900 now) "
        "and MA 0.410 (unseen: 0.550 before, 0.540 now)."
    )


def test_a_goal_that_a_damaged_model_missed_names_the_damage_and_a_lower_rate() -> None:
    after = evaluation("after", (0.0, 0.525), (0.0, 0.427), 0.41)
    found = run(
        BEFORE,
        after,
        success=False,
        thresholds=LIMITS,
        stopped="duration",
        steps=20,
        learning_rate=1e-3,
        damaged=("retain/probability", "unseen/probability"),
    )
    [finding] = goals(found)
    assert finding.tone == "bad"
    assert finding.text == (
        "Stage unlearn did not reach its goal within 10 epochs: forget has EL_10 0 (unseen: 0.0100 before, 0 now) and "
        "MA 0.525 (unseen: 0.550 before, 0.427 now). The model is damaged, and a damaged model reaches no goal: "
        "retain · probability (0.940 before, 0.410 now) and unseen · probability (0.200 before, 0.100 now). "
        "Try stages.unlearn.learning_rate=0.0003, or more retain data."
    )


def test_a_limit_says_the_value() -> None:
    after = evaluation("after", (0.004, 0.41), (0.009, 0.54), 0.93)
    [finding] = goals(run(BEFORE, after, success=True, goal="forget/el_10 <= 0.1"))
    assert finding.text == (
        "Stage unlearn reached its goal after 10 epochs: forget/el_10 is 0.00400 (goal: forget/el_10 <= 0.1)."
    )


def test_a_goal_that_was_reached_before_the_run_shows_no_forgetting() -> None:
    unknown = evaluation("before", (0.0, 0.5), (0.01, 0.55), 0.94)
    after = evaluation("after", (0.0, 0.41), (0.009, 0.54), 0.93)
    for stage in ({"thresholds": LIMITS}, {"goal": "forget/el_10 <= 0.1"}):
        [finding] = goals(run(unknown, after, success=True, **stage))
        assert finding.tone == "open"
        assert finding.text.endswith(". It was there before the run, so this shows no change.")


def test_a_run_without_evaluations_names_the_limits() -> None:
    [finding] = goals(run(success=True, thresholds=LIMITS))
    assert finding.text == (
        "Stage unlearn reached its goal after 10 epochs (EL_10 at most 0.0100 and MA at most 0.550, those of unseen "
        "text before)."
    )


def test_a_goal_that_was_missed_is_bad_news() -> None:
    [finding] = goals(run(success=False))
    assert (finding.tone, finding.text) == ("bad", "Stage unlearn did not reach its goal within 10 epochs.")


def test_a_goal_that_all_examples_do_not_confirm_is_missed() -> None:
    after = evaluation("after", (0.0, 0.56), (0.009, 0.54), 0.93)
    [finding] = goals(run(BEFORE, after, success=False, stopped="goal", thresholds=LIMITS))
    assert finding.tone == "bad" and finding.text.endswith(
        "The evaluation that stopped it was of fewer examples, and that of all does not confirm it."
    )


@pytest.mark.parametrize(
    ("steps", "advice"),
    [
        (5, "Try stages.unlearn.duration='60 steps'; if that is not enough, stages.unlearn.learning_rate=0.0003."),
        (100, "Try stages.unlearn.learning_rate=0.0003, or stages.unlearn.duration='300 steps'."),
    ],
)
def test_a_stage_that_moved_nothing_says_what_to_raise(steps: int, advice: str) -> None:
    [finding] = goals(run(moved=STUCK, steps=steps, learning_rate=1e-4, stopped="duration"))
    assert finding.tone == "bad"
    assert finding.text == (
        f"Stage unlearn moved nothing in {steps} steps at 0.0001 (forget/probability 0.838 → 0.838, unseen has 0.300). "
        + advice
    )


def test_the_rate_of_a_stage_is_said_as_it_was_and_nothing_only_of_what_did_not_move() -> None:
    [finding] = goals(run(moved=replace(STUCK, now=0.836), steps=20, learning_rate=2.5e-5, stopped="duration"))
    assert finding.text.startswith(
        "Stage unlearn moved almost nothing in 20 steps at 2.5e-05 (forget/probability 0.838 → 0.836, "
    )


def test_a_stage_that_moved_says_nothing_of_it() -> None:
    assert goals(run(moved=replace(STUCK, now=0.5), steps=5, learning_rate=1e-4)) == []
    assert goals(run()) == []


@pytest.mark.parametrize(("value", "said"), [(0.1000004, "0.1000004"), (0.1, "0.100"), (0.12, "0.120")])
def test_a_value_that_misses_its_limit_by_little_is_not_printed_as_the_limit(value: float, said: str) -> None:
    measure = Measure(name="exact_match", split="forget", value=value, count=100)
    words = goal_words(Goal(limits=(Limit.parse("forget/exact_match <= 0.1"),)), [measure])
    assert words == f"forget/exact_match is {said} (goal: forget/exact_match <= 0.1)"


def test_a_goal_reached_within_the_noise_of_unseen_text_shows_that_noise() -> None:
    def measure(split: str, name: str, value: float, high: float) -> Measure:
        return Measure(name=name, split=split, value=value, count=16, low=value * 0.8, high=high)

    found = [
        measure("forget", "el_10", 0.001, 0.002),
        measure("unseen", "el_10", 0.002, 0.003),
        measure("forget", "memorization_accuracy", 0.0326, 0.04),
        measure("unseen", "memorization_accuracy", 0.0272, 0.034),
        measure("forget", "probability", 0.06, 0.07),
        measure("unseen", "probability", 0.05, 0.065),
    ]
    goal = Goal(LIMITS, (Limit.parse("forget/probability <= unseen/probability"),))
    assert goal.reached(found)
    assert goal_words(goal, found) == (
        "forget has EL_10 0.00100 (unseen: 0.0100 before, 0.00200 now) and MA 0.0326 (unseen: 0.550 before, 0.0272, by "
        "its interval up to 0.0340 now); forget/probability is 0.0600, unseen/probability 0.0500, by its interval up "
        "to 0.0650"
    )


@pytest.mark.parametrize("success", [True, False])
def test_a_goal_that_a_later_stage_undid_is_missed(success: bool) -> None:
    first = evaluation("after", (0.004, 0.41), (0.009, 0.54), 0.93)
    later = replace(evaluation("after", (0.5, 0.41), (0.009, 0.54), 0.93), stage="align")
    found = run(BEFORE, first, later, success=success, goal="forget/el_10 <= 0.1", stopped="duration")
    found = replace(found, stages=(*found.stages, StageResult(name="align", method="sft")))
    undone = ", but the delivered model does not meet it: forget/el_10 is 0.500 (goal: forget/el_10 <= 0.1)."
    [finding] = goals(found)
    assert finding.tone == "bad"
    assert "forget/el_10 is 0.00400 (goal: forget/el_10 <= 0.1)" in finding.text and finding.text.endswith(undone)
    assert missed(found) == [f"Stage unlearn was at its goal{undone}"]
    assert (reached(found), goals_met(found)) == ([], False)  # its last stage had no goal


def test_a_goal_that_still_holds_after_a_later_stage_is_reached() -> None:
    first = evaluation("after", (0.004, 0.41), (0.009, 0.54), 0.93)
    found = run(BEFORE, first, replace(first, stage="align"), success=True, goal="forget/el_10 <= 0.1")
    found = replace(found, stages=(*found.stages, StageResult(name="align", method="sft")))
    assert (missed(found), reached(found), goals_met(found)) == ([], ["stage unlearn reached its goal"], True)


def test_a_goal_that_holds_only_after_the_stage_is_not_said_to_be_missed() -> None:
    after = evaluation("after", (0.05, 0.41), (0.009, 0.54), 0.93)
    found = run(BEFORE, after, success=False, goal="forget/el_10 <= 0.1", stopped="duration", steps=100)
    [finding] = goals(replace(found, stages=(replace(found.stages[0], learning_rate=1e-4),)))
    assert (finding.tone, finding.text) == (
        "open",
        "The goal of stage unlearn holds on the model after it, though it held at no evaluation on the way, which may "
        "be of fewer examples: forget/el_10 is 0.0500 (goal: forget/el_10 <= 0.1).",
    )
    assert (missed(found), reached(found)) == ([], ["the goal of stage unlearn holds at its end"])
    assert goals_met(found) is None  # a sweep counts it neither as reached nor as missed


def test_a_goal_that_the_model_before_was_at_is_counted_neither_as_reached_nor_as_missed() -> None:
    """A sweep counted it as a success, where the report says that it shows no change."""
    found = run(BEFORE, replace(BEFORE, point="after", stage="unlearn"), success=True, goal="forget/el_10 <= 0.95")
    assert (goals_met(found), reached(found)) == (None, [])
    assert [finding.tone for finding in goals(found)] == ["open"]


@pytest.mark.parametrize(("first", "said"), [(0.5, "0.903 before the stage"), (0.95, "0.950 before")])
def test_damage_is_said_from_the_start_that_it_was_found_from(first: float, said: str) -> None:
    before = evaluation("before", (0.9, 0.99), (0.01, 0.55), first)
    learnt = replace(evaluation("after", (0.9, 0.99), (0.01, 0.55), 0.903), stage="learn")
    after = evaluation("after", (0.0, 0.5), (0.01, 0.55), 0.603)
    found = run(before, learnt, after, success=False, damaged=("retain/probability",))
    found = replace(found, stages=(StageResult(name="learn", method="sft"), *found.stages))
    [finding] = goals(found)
    assert finding.text.endswith(f"retain \N{MIDDLE DOT} probability ({said}, 0.603 now).")


def test_where_something_that_should_stay_is_lost_no_higher_rate_is_advised() -> None:
    stuck = run(moved=STUCK, steps=100, learning_rate=1e-4, stopped="duration")
    [finding] = goals(stuck, harmed=True)
    assert finding.text.endswith(" Try stages.unlearn.learning_rate=3e-05, or more retain data.")


@pytest.mark.parametrize("goal", [True, False])
def test_where_the_forget_set_became_better_known_no_more_of_it_is_advised(goal: bool) -> None:
    better = replace(STUCK, start=0.5, now=0.7)
    found = run(moved=better, steps=20, learning_rate=1e-4, stopped="duration", success=False if goal else None)
    assert [finding.tone for finding in goals(found)] == ["bad"] * (1 + goal)
    assert "made the forget set better known in 20 steps" in goals(found)[-1].text
    assert not any("Try" in finding.text for finding in goals(found))


def test_a_stage_that_an_evaluation_of_fewer_examples_stopped_is_not_to_be_made_longer() -> None:
    """It would stop at the same step again."""
    after = evaluation("after", (0.5, 0.56), (0.009, 0.54), 0.93)
    found = run(BEFORE, after, success=False, stopped="goal", thresholds=LIMITS, steps=20, learning_rate=1e-4)
    [finding] = goals(found)
    assert finding.text.endswith("that of all does not confirm it.")


def test_values_that_differ_by_little_are_not_printed_alike() -> None:
    pair = [Measure(name="probability", split=s, value=v, count=9) for s, v in (("forget", 0.12304), ("unseen", 0.123))]
    words = goal_words(Goal(limits=(Limit.parse("forget/probability <= unseen/probability"),)), pair)
    assert words == "forget/probability is 0.12304, unseen/probability 0.123"


def test_a_goal_says_on_how_many_examples_it_was_decided() -> None:
    after = evaluation("after", (0.004, 0.41), (0.009, 0.54), 0.93)
    counts = {"forget/el_10": (20, 80), "unseen/el_10": (20, 32)}
    drawn = [replace(m, count=counts[m.key][0], of=counts[m.key][1]) if m.key in counts else m for m in after.measures]
    words = goal_words(Goal(LIMITS, (Limit.parse("forget/el_10 <= 0.2"),)), drawn)
    assert words == (
        "forget has EL_10 0.00400 on 20 of 80 (unseen: 0.0100 before, 0.00900 now on 20 of 32) "
        "and MA 0.410 (unseen: 0.550 before, 0.540 now); "
        "forget/el_10 is 0.00400 on 20 of 80 (goal: forget/el_10 <= 0.2)"
    )
