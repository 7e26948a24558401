"""The alarm rings for what is not finite and for a retain loss far past its start, and not before."""

from __future__ import annotations

import json
import math
import re
from collections import deque

import pytest

from forgetting.core.errors import CollapseError
from forgetting.training.alarm import WINDOW, CollapseAlarm, Watched


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["loss", "gradient norm"])
def test_what_is_not_finite_rings(which: str, value: float) -> None:
    loss, norm = (value, 1.0) if which == "loss" else (1.0, value)
    with pytest.raises(CollapseError, match=rf"step 5: the {which} is .*; the optimiser was not moved"):
        CollapseAlarm(10.0).finite(4, loss, norm)
    CollapseAlarm(10.0).finite(4, -1e30, 0.0)


def rings_at(multiple: float | None, losses: list[float | None]) -> int | None:
    alarm = CollapseAlarm(multiple)
    for step, loss in enumerate(losses):
        try:
            alarm.retained(step, {} if loss is None else {"retain": loss})
        except CollapseError:
            return step
    return None


@pytest.mark.parametrize(
    ("multiple", "losses", "step"),
    [
        (10.0, [2.0, 19.0, 19.0, 19.0, 19.0], None),
        (10.0, [2.0, 2.0, 2.0, 50.0], None),  # one hard batch: the mean of three is 18
        (10.0, [2.0, 2.0, 2.0, 50.0, 50.0], 4),
        (10.0, [0.001, 9.0, 9.0, 9.0], None),  # a memorised set starts as if at 1 nat
        (10.0, [0.001, 9.0, 11.0, 12.0], 3),
        (2.0, [3.0, 7.0, 9.0], 2),
        (None, [1.0, 1e9], None),
        (10.0, [None, None], None),
    ],
)
def test_the_retain_loss_rings_past_its_multiple(multiple: float, losses: list, step: int | None) -> None:
    assert rings_at(multiple, losses) == step


def test_the_message_says_what_to_do() -> None:
    with pytest.raises(CollapseError, match=r"step 1: the retain loss .*Lower learning_rate.*collapse_at: null"):
        CollapseAlarm(2.0).retained(0, {"retain": 1.0})
        CollapseAlarm(2.0, {"retain": Watched(1.0)}).retained(0, {"retain": 7.0})


def test_it_goes_on_where_it_was() -> None:
    losses = [2.0, 3.0, 8.0, 30.0, 30.0, 30.0]
    alarm = CollapseAlarm(10.0)
    for step, loss in enumerate(losses[:4]):
        alarm.retained(step, {"retain": loss})
    again = CollapseAlarm(10.0)
    again.restore(json.loads(json.dumps(alarm.state())))
    assert again == alarm and len(again.watched["retain"].recent) == WINDOW
    for each in (alarm, again):
        with pytest.raises(CollapseError, match="step 5"):
            each.retained(4, {"retain": 30.0})


def test_every_term_has_its_own_start() -> None:
    alarm = CollapseAlarm(10.0)
    for step in range(5):
        alarm.retained(step, {"retain": 4.0, "near": 0.0})
    alarm.retained(5, {"retain": 39.0, "near": 1.0})
    with pytest.raises(
        CollapseError, match=r"step 7: the near loss is 11.* nats per token, past 10 \(10 × its start of 1"
    ):
        alarm.retained(6, {"retain": 39.0, "near": 32.1})


def test_after_the_last_update_what_is_broken_is_named() -> None:
    alarm = CollapseAlarm(10.0, {"retain": Watched(2.0, deque([2.0, 2.0], maxlen=3))})
    alarm.updated(4, 1.0, {"retain": 3.0}, [], guessing=9.0)
    for loss, value, broken, said in (
        (
            1.0,
            3.0,
            ["a.weight", "b.weight"],
            "step 4: after its update, 2 weights hold NaN or infinity, first a.weight",
        ),
        (math.nan, 3.0, [], "step 4: after its update, the loss is nan"),
        (1.0, 1e9, [], "the retain loss is 3.33e"),
        (1.0, math.nan, [], "the retain loss is nan"),
        (1.0, 9.0, [], "the retain loss is 9 nats per token, as if the model guessed"),
    ):
        guessing = math.inf if value != 9.0 else 9.0
        with pytest.raises(CollapseError, match=re.escape(said)):
            alarm.updated(4, loss, {"retain": value}, broken, guessing=guessing)
    assert list(alarm.watched["retain"].recent) == [2.0, 2.0], "it only looks"
    CollapseAlarm(None).updated(4, 1.0, {"retain": 1e9}, [])
