"""Conversations in rows: messages, and earlier turns beside a question. What cannot be kept of them is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from forgetting.core.errors import RowError
from forgetting.core.example import Message
from forgetting.data.cells import is_blank, is_given, listed

Conversation = tuple[tuple[Message, ...], str, str]
"""Earlier turns, the last user turn and the last assistant turn."""
_SPEAKERS: dict[object, Literal["system", "user", "assistant"]] = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
}
"""Roles of conversations whose turns are written as `from` and `value`."""
_TOOLS = ("tool_calls", "function_call", "tool_call_id", "tools", "functions")
_THOUGHT = ("reasoning_content", "reasoning", "thinking", "thought", "thoughts")
_SWITCHES = {"weight": False, "loss": False, "train": False, "training": False, "mask": True, "prefix": True}
"""Keys by which a message says that it is not to be trained on, or that it is only begun, and whether by being true."""
_NOTE_KEYS = """
id uuid message_id parent_id conversation_id turn_id turn_identifier index timestamp time date created created_at
create_time updated_at language lang model source author score rating label labels tags hash hashed_ip country state
header redacted toxic openai_moderation detoxify_moderation
"""
_NOTES = frozenset(_NOTE_KEYS.split())
"""Keys of notes on a message, which no template writes."""


def conversation(value: object, where: str) -> Conversation:
    """The turns of a list of messages with `role` and `content`, or `from` and `value`.

    Raises:
        RowError: it is none, does not end with a user and an assistant, or a message holds more than its text.
    """
    value = listed(value, "messages", where)
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise RowError(where, "messages are not a list of objects with role and content")
    turns = [_turn(turn, f"message {number}", where) for number, turn in enumerate(value, 1)]
    roles = [turn.role for turn in turns]
    if roles[-2:] != ["user", "assistant"]:
        raise RowError(
            where, "the last two messages must be user and assistant; they are {}: cut the conversation", roles[-2:]
        )
    if is_blank(turns[-2].content):
        raise RowError(where, "the last user message is empty; fill it, or give the answer alone as text")
    return tuple(turns[:-2]), turns[-2].content, turns[-1].content


def earlier_turns(value: object, where: str) -> tuple[Message, ...]:
    """The turns before a question: a list of [question, answer], as in Alpaca's `history`, or of messages.

    Raises:
        RowError: it is neither.
    """
    if not is_given(value):
        return ()
    value = listed(value, "history", where)
    turns: list[Message] = []
    for number, turn in enumerate(value if isinstance(value, list) else [None], 1):
        if isinstance(turn, Mapping):
            turns.append(_turn(turn, f"turn {number} of the history", where))
        elif isinstance(turn, list | tuple) and len(turn) == 2 and all(isinstance(text, str) for text in turn):
            turns += [Message("user", turn[0]), Message("assistant", turn[1])]
        else:
            raise RowError(where, "the history is {}, not a list of [question, answer]; write [[…, …], …]", value)
    return tuple(turns)


def _turn(turn: Mapping[str, Any], what: str, where: str) -> Message:
    keys = ("from", "value") if "role" not in turn and "from" in turn else ("role", "content")
    for key, value in turn.items():
        if key not in keys and is_given(value):
            _refuse(str(key), value, what, where)
    if not all(key in turn for key in keys):
        raise RowError(where, "messages are not a list of objects with role and content")
    role, content = (turn[key] for key in keys)
    role = _SPEAKERS.get(role, role) if keys[0] == "from" and isinstance(role, str) else role
    if role not in ("system", "user", "assistant"):
        raise RowError(where, f"{what}: a message's role must be system, user or assistant, not {{}}", role)
    if not isinstance(content, str):
        raise RowError(where, f"{what}: a message's content is not text; fix the row")
    return Message(role, content)


def _refuse(key: str, value: object, what: str, where: str) -> None:
    """Refuses a key of a message that a template may write, so that nothing of it is lost without a word."""
    if key in _TOOLS:
        raise RowError(where, f"{what} calls tools ('{key}'), which is not read; write it as text, or remove the row")
    if key in _THOUGHT:
        raise RowError(
            where,
            f"{what} holds '{key}', which is not read; write it into the content if the model's template takes it from "
            "there (<think>…</think> before the answer), or remove it",
        )
    if key in _SWITCHES:
        if bool(value) is not _SWITCHES[key]:
            return
        raise RowError(where, f"{what} holds '{key}', which is not read; cut the conversation there, or remove it")
    if key not in _NOTES and not isinstance(value, bool | int | float):
        raise RowError(where, f"{what} holds '{key}', which is not read; write it into the content, or remove it")
