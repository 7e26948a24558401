"""A goal is several conditions that are to hold on one model."""

from __future__ import annotations

import re

import pytest

from forgetting.core.errors import DataError
from forgetting.core.measure import Measure
from forgetting.metrics.extraction import Thresholds
from forgetting.metrics.goal import UNTIL, Goal, Until
from forgetting.metrics.limit import Limit

BELOW = Limit.parse("forget/probability <= unseen/probability")
GOAL = Goal(Thresholds(10, 0.1, 0.5), (BELOW,))


def measures(likelihood: float | None, accuracy: float, probability: float | None) -> list[Measure]:
    values = {
        "forget/el_10": likelihood,
        "forget/memorization_accuracy": accuracy,
        "forget/probability": probability,
        "unseen/el_10": 0.2,
        "unseen/memorization_accuracy": 0.6,
        "unseen/probability": 0.05,
    }
    return [Measure(name=k.split("/")[1], split=k.split("/")[0], value=v, count=9) for k, v in values.items()]


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("extraction", Until(True, ())),
        ("forget/probability <= unseen/probability", Until(False, (BELOW,))),
        ("extraction and forget/probability <= unseen/probability", Until(True, (BELOW,))),
        (" extraction\nand\ta/b <= 0.1 ", Until(True, (Limit("a/b", True, 0.1),))),
        ("a/b <= 0.1 and c/d >= 2", Until(False, (Limit("a/b", True, 0.1), Limit("c/d", False, 2.0)))),
    ],
)
def test_a_goal_is_read_as_it_is_written(text: str, until: Until) -> None:
    assert Until.parse(text) == until
    assert re.match(UNTIL, text)


@pytest.mark.parametrize("text", ["", "and", "extraction and", "extraction and more", "extraction, a/b <= 1"])
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write extraction, or a limit such as"):
        Until.parse(text)
    assert re.match(UNTIL, text) is None


@pytest.mark.parametrize(
    ("found", "reached", "near"),
    [
        (measures(0.1, 0.5, 0.05), True, True),
        (measures(0.11, 0.5, 0.05), False, True),
        (measures(0.1, 0.51, 0.05), False, False),
        (measures(0.1, 0.5, 0.06), False, False),
    ],
)
def test_all_of_it_is_to_hold(found: list[Measure], reached: bool, near: bool) -> None:
    assert GOAL.reached(found) is reached
    assert GOAL.within_reach(found) is near


def test_next_to_nothing_is_within_reach_where_it_reaches() -> None:
    """Where unseen text had exactly 0, the costly part was never measured, and so the goal never reached."""
    none = Goal(Thresholds(10, 0.0, 0.0))
    found = measures(0.0, 0.0005, 0.05)
    assert none.reached(found) and none.within_reach(found)


def test_what_costs_much_may_be_missing_for_the_first_look_only() -> None:
    assert GOAL.within_reach(measures(None, 0.5, 0.05))
    with pytest.raises(DataError, match="the stop rule needs forget/el_10"):
        GOAL.reached(measures(None, 0.5, 0.05))
    decoded = Goal(limits=(Limit.parse("forget/el_10 <= 0.1"),))
    assert decoded.within_reach(measures(None, 0.5, 0.05))
    with pytest.raises(DataError, match="forget/el_10 has no value"):
        decoded.reached(measures(None, 0.5, 0.05))
