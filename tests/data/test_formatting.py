"""What a recipe says under `format`: when an answer ends, and what of it training takes."""

from __future__ import annotations

import datetime

import pytest
from pydantic import ValidationError

from forgetting.data.formatting import Formatting, writes_date
from forgetting.data.shots import Shot, Shots
from tests.data.tokenizers import CHATML, characters, with_template

SHOTS = Shots(examples=(Shot(prompt="Q", response="A"),))
EVALUATED = SHOTS.model_copy(update={"training": False})


@pytest.mark.parametrize(
    ("formatting", "stops", "closing"),
    [
        (Formatting(), (), None),
        (Formatting(shots=SHOTS), ("\n\n", "\nQuestion:"), "\n\n"),
        (Formatting(shots=SHOTS, end="token"), ("\n\n", "\nQuestion:"), None),
        (Formatting(end="separator", separator="\n"), ("\n", "\nQuestion:"), "\n"),
        (Formatting(shots=SHOTS, plain="{prompt} ", separator="\n"), ("\n",), "\n"),
        (Formatting(shots=SHOTS, stop=()), (), "\n\n"),
        (Formatting(stop=("\n", ".")), ("\n", "."), None),
    ],
)
def test_how_an_answer_ends_without_a_chat_template(
    formatting: Formatting, stops: tuple[str, ...], closing: str | None
) -> None:
    assert formatting.stops(characters()) == stops
    assert formatting.closing == closing


@pytest.mark.parametrize("plain", ["", "Answer: ", "Q: {prompt\nA: "])
def test_without_its_place_the_question_would_not_be_asked(plain: str) -> None:
    with pytest.raises(ValidationError, match=r"it has no \{prompt\}; write where the question goes"):
        Formatting(plain=plain)


def test_a_chat_template_ends_answers_itself() -> None:
    chat = with_template(CHATML)
    assert Formatting(shots=SHOTS).stops(chat) == ()
    assert Formatting(stop=("\n",)).stops(chat) == ("\n",)
    assert Formatting(shots=SHOTS, template="plain").stops(chat) != ()


def test_training_has_the_same_shots_unless_they_are_for_evaluation_only() -> None:
    both = Formatting(shots=SHOTS)
    assert both.trained is both
    only = Formatting(shots=EVALUATED).trained
    assert only.shots is None
    assert only.closing == "\n\n", "an answer is trained on with the end that it is measured with"


def test_a_date_is_written_only_by_a_template_that_reads_it() -> None:
    day = Formatting(date=datetime.date(2025, 4, 10))
    clock = with_template("Today is {{ strftime_now('%d %b %Y') }}.")
    other = with_template(CHATML)
    assert writes_date(day, clock)
    assert not writes_date(day, other) and not writes_date(day, characters())
    assert not writes_date(day.model_copy(update={"template": "plain"}), clock) and not writes_date(Formatting(), clock)
