"""A duration is a number with its unit, and becomes a whole number of steps."""

import pytest

from forgetting.core.duration import Duration
from forgetting.core.errors import RecipeError

PER_EPOCH = {"steps_per_epoch": 7, "tokens_per_epoch": 2000}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("60 steps", 60),
        ("1 step", 1),
        ("5 epochs", 35),
        ("0.5 epochs", 4),
        ("1epoch", 7),
        ("2e3 tokens", 7),
        ("1_000 tokens", 4),
        ("1 token", 1),
        (" 3 epochs ", 21),
        ("5 epochs, at least 36 steps", 36),
        ("5 epochs, at least 35 steps", 35),
        ("5 epochs, at least 1 step", 35),
        ("2e3 tokens, at least 20 steps", 20),
    ],
)
def test_a_duration_becomes_steps_rounded_up(text: str, steps: int) -> None:
    assert Duration.parse(text).steps(**PER_EPOCH) == steps


@pytest.mark.parametrize(
    "text", ["60 steps", "2e+06 tokens", "12345678.0 tokens", "3.14159265 epochs, at least 7 steps"]
)
def test_a_duration_is_written_as_it_is(text: str) -> None:
    assert str(Duration.parse(text)) == text


def test_an_epoch_that_is_a_whole_number_of_steps_is_not_rounded_past_it() -> None:
    # 0.7 * 10 is 7.000000000000001 in floating point.
    assert Duration(0.7, "epochs").steps(steps_per_epoch=10, tokens_per_epoch=1) == 7


@pytest.mark.parametrize(
    "text",
    ["", "5", "epochs", "0 steps", "-3 steps", "5 days", "five epochs", "1e400 steps x", "5 epochs, at least 0 steps"],
)
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(RecipeError, match="is not a duration; write a number and a unit") as raised:
        Duration.parse(text)
    assert f"'{text}'" in str(raised.value)


@pytest.mark.parametrize("text", ["5 epochs", "60 steps", "2e+06 tokens", "0.25 epochs", "5 epochs, at least 60 steps"])
def test_a_printed_duration_is_read_back(text: str) -> None:
    assert str(Duration.parse(str(Duration.parse(text)))) == text


def test_steps_have_no_least_number_of_steps() -> None:
    with pytest.raises(RecipeError, match="'at least' is for epochs and tokens"):
        Duration.parse("60 steps, at least 20 steps")
