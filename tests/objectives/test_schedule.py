"""Weights follow the step as the formulas say."""

from __future__ import annotations

from typing import Annotated

import pytest

from forgetting.core.errors import RecipeError
from forgetting.objectives.schedule import Weight, forgetting, linear, parse_weight, takes_weight, weight_at


def test_the_schedule_of_the_forgetting_paper_starts_at_zero_and_never_ends() -> None:
    by_hand = [0.0, 0.06, 0.12, 0.18]
    schedule = forgetting(0.01, 0.25)
    assert [schedule(step, 4) for step in range(4)] == pytest.approx(by_hand, rel=1e-12)


def test_the_linear_schedule_reaches_both_ends() -> None:
    schedule = linear(0.01, 0.25)
    assert [schedule(step, 4) for step in range(4)] == pytest.approx([0.01, 0.09, 0.17, 0.25], rel=1e-12)
    assert schedule(0, 1) == 0.01


@pytest.mark.parametrize(
    ("written", "at_half"),
    [
        (2, 2.0),
        (0.5, 0.5),
        ({"schedule": "linear", "start": 0, "end": "1e0"}, 0.5),
        ({"schedule": "forgetting", "t_min": 0, "t_max": 1}, 2 / 5),
        (linear(3, 5), 4.0),
    ],
)
def test_a_weight_is_read_as_a_recipe_writes_it(written: object, at_half: float) -> None:
    assert weight_at(parse_weight(written), 2, 5) == pytest.approx(at_half)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("much", "'much' is not a weight; write a number or {schedule: linear"),
        (True, "True is not a weight"),
        (None, "None is not a weight"),
        ({"start": 1}, "is not a weight"),
        ({"schedule": "linaer", "start": 0, "end": 1}, "unknown schedule 'linaer'; did you mean 'linear'"),
        ({"schedule": "linear", "start": 0}, "schedule 'linear': .*'end'"),
        ({"schedule": "linear", "start": 0, "end": 1, "stop": 2}, "schedule 'linear': .*'stop'"),
        ({"schedule": "linear", "start": "low", "end": 1}, "schedule 'linear': start is 'low'; write a number"),
        ({"schedule": "forgetting", "t_min": None, "t_max": 1}, "schedule 'forgetting'"),
    ],
)
def test_what_is_no_weight_is_refused(written: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_weight(written)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (float("nan"), "nan is not a weight"),
        (float("inf"), "inf is not a weight"),
        (10**400, "is not a weight"),
        (-0.5, "-0.5 is below 0"),
        ({"schedule": "linear", "start": 1, "end": float("nan")}, "schedule 'linear': end is nan; write a number"),
        ({"schedule": "linear", "start": 1, "end": True}, "schedule 'linear': end is True; write a number"),
        ({"schedule": "linear", "start": -1, "end": 1}, "-1 is below 0"),
        ({"schedule": "forgetting", "t_min": 0.5, "t_max": 0.1}, "t_max is below t_min"),
        ({"schedule": ["linear"]}, "unknown schedule"),
    ],
)
def test_a_weight_that_would_turn_its_term_round_is_refused(written: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_weight(written)


def test_a_weight_with_a_range_in_its_type_is_a_weight() -> None:
    assert takes_weight("retain_weight", Weight) and takes_weight("retain_weight", Annotated[Weight, "a range"])
    assert takes_weight("forget_weight", object) and not takes_weight("beta", Annotated[float, "a range"])
