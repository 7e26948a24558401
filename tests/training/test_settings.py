"""Settings are checked when they are written, and the learning rate follows its schedule."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from forgetting.training.settings import Optimisation, learning_rate_at


def rates(**keys: object) -> list[float]:
    settings = Optimisation(learning_rate=2.0, **keys)  # type: ignore[arg-type]
    return [learning_rate_at(step, 10, settings) for step in range(10)]


def test_constant() -> None:
    assert rates() == [2.0] * 10


def test_warm_up_rises_to_the_full_rate() -> None:
    assert rates(warmup=0.4) == pytest.approx([0.5, 1.0, 1.5, 2.0] + [2.0] * 6)
    assert rates(warmup=0.01) == [2.0] * 10  # one step of warm-up is the full rate


def test_linear_falls_towards_zero_and_never_is_zero() -> None:
    assert rates(schedule="linear") == pytest.approx([2.0 * (10 - s) / 10 for s in range(10)])
    warm = rates(schedule="linear", warmup=0.5)
    assert warm == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0, 1.6, 1.2, 0.8, 0.4])


def test_cosine_falls_by_its_formula() -> None:
    expected = [1 + math.cos(math.pi * s / 10) for s in range(10)]
    assert rates(schedule="cosine") == pytest.approx(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0},
        {"batch_size": 0},
        {"micro_batch_size": 0},
        {"weight_decay": -1},
        {"warmup": 1.0},
        {"schedule": "step"},
        {"max_grad_norm": 0},
        {"collapse_at": 1.0},
        {"keep": "all"},
        {"learning_rat": 1.0},
    ],
)
def test_a_value_without_meaning_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Optimisation(**wrong)


def test_durations_are_words_and_stay_words() -> None:
    settings = Optimisation(duration="2 epochs", evaluate_every=None)  # type: ignore[arg-type]
    written = settings.model_dump(mode="json")
    assert written["duration"] == "2 epochs" and written["evaluate_every"] is None
    assert Optimisation.model_validate(written) == settings


@pytest.mark.parametrize("key", ["duration", "evaluate_every", "checkpoint_every"])
def test_what_is_no_duration_is_told_with_its_key(key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key}\n.*'soon' is not a duration"):
        Optimisation.model_validate({key: "soon"})
