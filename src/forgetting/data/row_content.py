"""What one row says, question and answer, document, conversation or token ids, by the columns that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forgetting.core.errors import RowError
from forgetting.core.example import Form, Message
from forgetting.core.text import names
from forgetting.data import cells
from forgetting.data.conversation import conversation, earlier_turns
from forgetting.data.files import Row
from forgetting.data.source import COLUMNS, Source
from forgetting.data.tokens import token_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a row says, and the columns that it was read from."""

    prompt: str
    response: str
    form: Form
    read: set[str]
    context: tuple[Message, ...] = ()
    ids: tuple[int, ...] = ()


def content_of(text: Row, row: Row, columns: Mapping[str, str | None], source: Source, where: str) -> Content:
    """What a row says, in the form that the source states, or else the columns show.

    Args:
        text: the row's values by what they are: `prompt`, `response`, `messages`, …
        row: by the names of its columns.
        columns: the name of the column that holds each of these, or None.
        source: of the row.
        where: the row's place.

    Raises:
        RowError: a column is missing or holds something else than it should.
    """
    given = {what for what, value in text.items() if cells.is_given(value) or isinstance(value, list)}
    if source.form == "tokens" or (source.form is None and _only_ids(given)):
        ids = token_ids(cells.listed(text.get("token_ids"), "token_ids", where), where)
        return Content(prompt="", response=" ".join(map(str, ids)), form="tokens", read={"token_ids"}, ids=ids)
    if "messages" in given or ("messages" in text and not given & {"prompt", "response", "text"}):
        context, prompt, response = conversation(text["messages"], where)
        context = _with_system(context, text.get("system"), where)
        read = {"messages", "system"}
        return Content(prompt=prompt, response=response, form=source.form or "qa", read=read, context=context)
    if source.form == "text" or (source.form is None and _only_text(text, given)):
        body = "text" if "text" in given or "response" not in given else "response"
        prompt = cells.string(text.get("prompt") or "", "prompt", where) if "response" in given else ""
        response = _needed(body, "text", row, columns, where)
        return Content(prompt=prompt, response=response, form="text", read={body, "prompt" if prompt else body})
    asked = _needed("prompt", "prompt", row, columns, where)
    about = _input(text, columns, where, source)
    return Content(
        prompt=cells.joined((asked, about)),
        response=_needed("response", "response", row, columns, where),
        form="qa",
        read={"prompt", "response", "history", "system"} | ({"input"} if about else set()),
        context=_with_system(earlier_turns(text.get("history"), where), text.get("system"), where),
    )


def _with_system(turns: tuple[Message, ...], system: object, where: str) -> tuple[Message, ...]:
    """The turns behind the system message of a column of its own."""
    said = cells.optional(system, "system message", where)
    if said is None:
        return turns
    if turns and turns[0].role == "system" and turns[0].content.strip() != said.strip():
        raise RowError(where, "has two system messages, one among its messages and one in a column; leave one of them")
    return turns if turns and turns[0].role == "system" else (Message("system", said), *turns)


def _only_ids(given: set[str]) -> bool:
    return "token_ids" in given and not {"messages", "prompt", "response", "text"} & given


def _only_text(text: Row, given: set[str]) -> bool:
    """Whether a row is a document. A column that is null or blank there belongs to the other rows of its file."""
    if "text" in given:
        return "response" not in given
    return "text" in text and not given & {"prompt", "response"}


def _input(text: Row, columns: Mapping[str, str | None], where: str, source: Source) -> str | None:
    """The input of an instruction, if it is in a column of its own (`input`, as in Alpaca)."""
    if columns["prompt"] == columns["input"] or not ("input" in source.columns or columns["prompt"] == "instruction"):
        return None
    return cells.optional(text.get("input"), "input", where)


def _needed(what: str, called: str, row: Row, columns: Mapping[str, str | None], where: str) -> str:
    """The text of a column that has to be there."""
    name = columns[what]
    if name is None:
        raise RowError(
            where,
            f"no column for the {called} (looked for {', '.join(COLUMNS[what])}; the row has "
            f"{names(row)}); map it with columns: {{{what}: …}}",
        )
    return cells.string(row[name], called, where)
