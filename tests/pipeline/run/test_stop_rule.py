"""A goal is compared with unseen text before and now, and a damaged model does not reach it."""

from dataclasses import replace

import pytest

from forgetting.core.declaration import Balance, Declaration
from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.goal import Goal
from forgetting.metrics.limit import Limit
from forgetting.pipeline.run.stop_rule import StopRule

DECLARED = Declaration(balance=Balance(forget="forget/probability", retain="kept/probability"))
START = [Measure(name="probability", split="kept", value=0.9, low=0.88, high=0.92, count=9, direction="up")]
GOAL = Goal(Thresholds(10, 0.1, 0.45, "one-forget", "never"))
RULE = StopRule(GOAL, DECLARED, (START,))


def measures(accuracy: float, likelihood: float | None, unseen: tuple[float, float] = (0.5, 0.2)) -> list[Measure]:
    values = {
        "one-forget/memorization_accuracy": accuracy,
        "one-forget/el_10": likelihood,
        "never/memorization_accuracy": unseen[0],
        "never/el_10": unseen[1],
    }
    return [Measure(name=k.split("/")[1], split=k.split("/")[0], value=v, count=1) for k, v in values.items()]


def kept(value: float) -> Measure:
    return Measure(
        name="probability", split="kept", value=value, low=value - 0.02, high=value + 0.02, count=9, direction="up"
    )


@pytest.mark.parametrize(
    ("accuracy", "likelihood", "reached"),
    [(0.46, None, False), (0.46, 0.0, False), (0.45, 0.1, True), (0.2, 0.11, False), (0.0, 0.0, True)],
)
def test_both_have_to_be_at_or_below_unseen_text_before(accuracy: float, likelihood: float, reached: bool) -> None:
    assert RULE([*measures(accuracy, likelihood), kept(0.9)]) is reached
    assert GOAL.within_reach(measures(accuracy, likelihood)) is (accuracy <= 0.45)


@pytest.mark.parametrize(
    ("unseen", "reached"), [((0.427, 0.05), False), ((0.44, 0.02), False), ((0.44, 0.05), True), ((0.6, 0.3), True)]
)
def test_both_have_to_be_at_or_below_unseen_text_on_the_same_model(unseen: tuple[float, float], reached: bool) -> None:
    assert RULE([*measures(0.43, 0.05, unseen), kept(0.9)]) is reached


@pytest.mark.parametrize("goal", [GOAL, Goal(limits=(Limit.parse("one-forget/el_10 <= 0.1"),))])
@pytest.mark.parametrize(("left", "reached"), [(0.9, True), (0.82, True), (0.8, False), (0.1, False)])
def test_a_damaged_model_reaches_no_goal(goal: Goal, left: float, reached: bool) -> None:
    rule = StopRule(goal, DECLARED, (START,))
    found = [*measures(0.3, 0.05), kept(left)]
    assert rule(found) is reached
    assert rule.damaged(found) == (() if reached else ("kept/probability",))


@pytest.mark.parametrize(
    ("accuracy", "left", "held_back"), [(0.2, 0.5, True), (0.2, 0.9, False), (0.48, 0.5, False), (0.48, 0.9, False)]
)
def test_a_goal_that_is_met_but_for_damage_is_held_back(accuracy: float, left: float, held_back: bool) -> None:
    assert RULE.held_back([*measures(accuracy, 0.0), kept(left)]) is held_back


@pytest.mark.parametrize(("accuracy", "left"), [(0.2, 0.5), (0.2, 0.9), (0.48, 0.5)])
def test_a_stage_that_ends_despite_damage_is_at_no_goal_and_never_rests(accuracy: float, left: float) -> None:
    rule, found = replace(RULE, despite_damage=True), [*measures(accuracy, 0.0), kept(left)]
    assert rule.ends(found) is (accuracy == 0.2)
    assert rule(found) is RULE(found) is RULE.ends(found) is (accuracy == 0.2 and left == 0.9)
    assert not rule.held_back(found)


def test_damage_is_counted_from_the_run_and_from_the_stage() -> None:
    grown = [kept(0.99)]  # an earlier stage taught the retained set
    assert StopRule(GOAL, DECLARED, (START, grown))([*measures(0.3, 0.05), kept(0.85)]) is False
    assert StopRule(GOAL, DECLARED, (START, [kept(0.7)]))([*measures(0.3, 0.05), kept(0.7)]) is False
