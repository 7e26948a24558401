"""Of a conversation everything is kept or the row is refused."""

from __future__ import annotations

import pytest

from forgetting.core.errors import RowError
from forgetting.core.example import Example, Message
from forgetting.data.conversation import conversation, earlier_turns
from forgetting.data.examples import to_example
from forgetting.data.source import Source

USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def one(row: dict, **keys: object) -> Example:
    return to_example(row, "x:1", Source(path="x", **keys))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            ASSISTANT | {"reasoning_content": "since …"},
            r"message 2 holds 'reasoning_content', which is not read; write",
        ),
        (ASSISTANT | {"thinking": "since …"}, "holds 'thinking'"),
        (ASSISTANT | {"content": None, "tool_calls": [{"function": {"name": "f"}}]}, r"message 2 calls tools"),
        (ASSISTANT | {"weight": 0}, "holds 'weight'"),
        (ASSISTANT | {"train": False}, "holds 'train'"),
        (ASSISTANT | {"prefix": True}, "holds 'prefix'"),
        (ASSISTANT | {"images": ["x.png"]}, "holds 'images'"),
        (ASSISTANT | {"anything": "else"}, "holds 'anything'"),
        ({"role": "tool", "content": "42"}, 'must be system, user or assistant, not "tool"'),
        ({"role": "assistant"}, "not a list of objects with role and content"),
        (USER, "the last two messages must be user and assistant"),
    ],
)
def test_what_cannot_be_kept_of_a_message_is_refused(message: dict, said: str) -> None:
    with pytest.raises(RowError, match=said) as raised:
        conversation([USER, message], "x:1")
    assert str(raised.value).startswith("x:1: ") and "since" not in raised.value.without_text


def test_keys_that_hold_nothing_or_say_nothing_of_the_text_do_no_harm() -> None:
    notes = {"tool_calls": None, "reasoning_content": "", "id": "m1", "weight": 1, "toxicity": 0.1, "prefix": False}
    assert conversation([USER | notes, ASSISTANT | notes], "x:1") == ((), "q", "a")


def test_a_conversation_that_ends_on_the_user_or_asks_nothing_is_refused() -> None:
    with pytest.raises(RowError, match="the last two messages must be user and assistant"):
        conversation([USER, ASSISTANT, USER], "x:1")
    with pytest.raises(RowError, match="the last user message is empty"):
        conversation([USER | {"content": " "}, ASSISTANT], "x:1")


@pytest.mark.parametrize("history", [[["Who?", "Ann."]], "[['Who?', 'Ann.']]", '[["Who?", "Ann."]]'])
def test_the_history_and_system_of_an_instruction_are_earlier_turns(history: object) -> None:
    row = {"instruction": "And where?", "input": "", "output": "Here.", "system": "Be brief.", "history": history}
    example = one(row)
    assert example.context == (Message("system", "Be brief."), Message("user", "Who?"), Message("assistant", "Ann."))
    assert (example.prompt, example.response) == ("And where?", "Here.")
    assert example.id != one(row | {"history": None}).id != one(row | {"history": None, "system": None}).id
    assert one(row | {"history": "[]", "system": " "}).context == ()


def test_a_system_column_stands_before_messages_and_two_are_refused() -> None:
    row = {"system_prompt": "Be brief.", "messages": [USER, ASSISTANT]}
    assert one(row).context == (Message("system", "Be brief."),)
    twice = [{"role": "system", "content": "Be long."}, USER, ASSISTANT]
    with pytest.raises(RowError, match="two system messages"):
        one(row | {"messages": twice})
    with pytest.raises(RowError, match=r"the history is .*, not a list of"):
        earlier_turns(["Who?"], "x:1")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"tools": [{"name": "f"}]}, "the column 'tools' is not read"),
        ({"reasoning_content": "since …"}, "the column 'reasoning_content' is not read; write it into the response"),
        ({"image": "x.png"}, "the column 'image' is not read"),
    ],
)
def test_a_column_that_belongs_to_what_a_model_sees_is_refused(extra: dict, said: str) -> None:
    with pytest.raises(RowError, match=said):
        one({"question": "q", "answer": "a"} | extra)
    assert one({"question": "q", "answer": "a"} | dict.fromkeys(extra)).response == "a"


def test_earlier_turns_are_not_lost_by_the_form() -> None:
    with pytest.raises(RowError, match="whose earlier turns the form text does not write"):
        one({"messages": [USER, ASSISTANT, USER, ASSISTANT]}, form="text")
