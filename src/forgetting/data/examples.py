"""Rows → examples: which column is what, and one line for every row that cannot be used."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from forgetting.core.errors import DataError, nearest
from forgetting.core.example import Example, Form, Message, content_id
from forgetting.data.files import Row, read_rows
from forgetting.data.source import COLUMNS, Source
from forgetting.data.tokens import token_ids


def load_examples(source: Source) -> list[Example]:
    """All examples of a source.

    Raises:
        DataError: the source is empty, a row lacks a column or holds the wrong thing, or two rows share an id.
    """
    rows = read_rows(source)
    examples = [to_example(row, where, source) for where, row in islice(rows, source.limit)]
    if not examples:
        raise DataError(f"{source}: holds no examples; give at least one")
    repeated = [(i, n) for i, n in Counter(e.id for e in examples).items() if n > 1]
    if not repeated:
        return examples
    if any("id" in e.fields or "id" in source.columns for e in examples):
        raise DataError(f"{source}: the id '{repeated[0][0]}' stands in {repeated[0][1]} rows; make ids unique")
    return _drop_copies(examples)


def _drop_copies(examples: Sequence[Example]) -> list[Example]:
    """Rows that say exactly the same are one example: their id is their content."""
    return list({e.id: e for e in examples}.values())


def to_example(row: Row, where: str, source: Source) -> Example:
    """One row as an example; its form follows from the columns unless the source states it."""
    columns = {what: _column(row, what, where, source) for what in COLUMNS}
    text = {what: row.get(name) for what, name in columns.items() if name is not None}
    context: tuple[Message, ...] = ()
    ids: tuple[int, ...] = ()
    form: Form
    if source.form == "tokens" or (source.form is None and _only_ids(text)):
        ids = token_ids(text.get("token_ids"), where)
        prompt, response, form = "", " ".join(map(str, ids)), "tokens"
    elif "messages" in text:
        context, prompt, response = _conversation(text["messages"], where)
        form = source.form or "qa"
    elif source.form == "text" or (source.form is None and "text" in text and "response" not in text):
        prompt = _string(text.get("prompt", ""), "prompt", where) if "response" in text else ""
        response = _string(text.get("text", text.get("response")), "text", where, columns, row)
        form = "text"
    else:
        prompt = _string(text.get("prompt"), "prompt", where, columns, row)
        response = _string(text.get("response"), "response", where, columns, row)
        form = "qa"
    if not response.strip():
        raise DataError(
            f"{where}: the response is empty, so there is nothing to learn or forget; fill or remove the row"
        )
    if form == "qa" and source.max_tokens is not None:
        raise DataError(f"{where}: is a question with its answer, and max_tokens cuts texts; leave it out")
    return Example(
        id=_name(text.get("id")) or content_id("".join(f"{m.role}: {m.content}\n" for m in context) + prompt, response),
        prompt=prompt,
        response=response,
        form=form,
        context=context,
        paraphrased_prompt=_optional(text.get("paraphrased_prompt"), "paraphrased_prompt", where),
        paraphrased=_optional(text.get("paraphrased"), "paraphrased", where),
        perturbed=_strings(text.get("perturbed"), where),
        popularity=_number(text.get("popularity"), "popularity", where),
        weight=_weight(text.get("weight"), where),
        token_ids=ids,
        max_tokens=source.max_tokens,
        group=_name(text.get("group")),
        kind=_name(text.get("kind")),
        where=where,
        fields={k: v for k, v in row.items() if k not in columns.values() or k == columns["id"]},
    )


def _only_ids(text: Row) -> bool:
    return "token_ids" in text and not {"messages", "prompt", "response", "text"} & text.keys()


def _column(row: Row, what: str, where: str, source: Source) -> str | None:
    """The name of the column that holds `what`, or None."""
    if what in source.columns:
        name = source.columns[what]
        if name not in row:
            raise DataError(f"{where}: no column '{name}' (mapped to {what}); {nearest(name, map(str, row))}")
        return name
    return next((name for name in COLUMNS[what] if name in row), None)


def _string(
    value: object, what: str, where: str, columns: dict[str, str | None] | None = None, row: Row | None = None
) -> str:
    if value is None and columns is not None and columns.get(what) is None:
        names = ", ".join(map(str, row or {}))
        raise DataError(
            f"{where}: no column for the {what} (looked for {', '.join(COLUMNS[what])}; the row has {names}); "
            f"map it with columns: {{{what}: …}}"
        )
    if not isinstance(value, str):
        raise DataError(f"{where}: the {what} is {_shown(value)}, not text")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise DataError(f"{where}: the {what} holds half of a character (a lone surrogate); mend its encoding")
    return value


def _shown(value: object) -> str:
    return f"{json.dumps(value, default=str)[:40]} ({type(value).__name__})"


def _optional(value: object, what: str, where: str) -> str | None:
    return None if value is None or value == "" else _string(value, what, where)


def _name(value: object) -> str:
    """An id, group or kind as text; a number is fine, 0 too."""
    return "" if value is None else str(value)


def _strings(value: object, where: str) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise DataError(f'{where}: the perturbed answers are {_shown(value)}, not a list of texts; write ["…", …]')
    return tuple(values)


def _number(value: object, what: str, where: str) -> float | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DataError(f"{where}: the {what} is {_shown(value)}, not a number") from None


def _weight(value: object, where: str) -> float:
    number = _number(value, "weight", where)
    if number is not None and (number == 0 or not math.isfinite(number)):
        raise DataError(f"{where}: the weight is {number:g}; leave the row out, or give a finite weight other than 0")
    return 1.0 if number is None else number


def _conversation(value: object, where: str) -> tuple[tuple[Message, ...], str, str]:
    """(earlier turns, last user turn, last assistant turn) of a list of {role, content}."""
    try:
        turns = [Message(t["role"], t["content"]) for t in value]  # type: ignore[attr-defined]
    except (TypeError, KeyError):
        raise DataError(f"{where}: messages are not a list of objects with role and content") from None
    roles = [t.role for t in turns]
    if any(r not in ("system", "user", "assistant") for r in roles):
        raise DataError(f"{where}: a message's role must be system, user or assistant, not {_shown(roles)}")
    if roles[-2:] != ["user", "assistant"]:
        raise DataError(f"{where}: the last two messages must be user and assistant; they are {_shown(roles[-2:])}")
    if not all(isinstance(t.content, str) for t in turns):
        raise DataError(f"{where}: a message's content is not text; mend the row")
    return tuple(turns[:-2]), turns[-2].content, turns[-1].content


def overlap(first: Iterable[Example], second: Iterable[Example]) -> list[Example]:
    """The examples of `first` whose prompt and response, but for case and spaces, also stand in `second`."""

    def said(e: Example) -> str:
        return " ".join(f"{e.prompt}\n{e.response}".casefold().split())

    there = {said(e) for e in second}
    return [e for e in first if said(e) in there]
