"""Rows → examples: which column is what, and one line for every row that cannot be used."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from forgetting.core.errors import DataError, nearest
from forgetting.core.example import Example, Form, Message, content_id
from forgetting.data.files import Row, read_rows
from forgetting.data.source import COLUMNS, Source
from forgetting.data.tokens import token_ids

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Loaded:
    """The examples of a source in their order; copies and repeated ids are still among them."""

    examples: tuple[Example, ...]
    unsupervised: int = 0
    """How many rows are left out because all their token weights are 0: nothing of them would be trained on."""


def load_examples(source: Source) -> list[Example]:
    """All examples of a source. Identical rows are one; an example whose token weights are all 0 is left out.

    Raises:
        DataError: the source is empty, a row lacks a column or holds the wrong thing, or two rows share an id.
    """
    return distinct(read_examples(source).examples, source)


def read_examples(source: Source) -> Loaded:
    """Every row of a source as an example, copies too: what a corpus is drawn from.

    Raises:
        DataError: the source is empty, all its token weights are 0, or a row lacks a column or holds the wrong thing.
    """
    rows = islice(read_rows(source), source.limit)
    found = [to_example(row, where, source) for where, row in rows]
    if not found:
        raise DataError(f"{source}: holds no examples; give at least one")
    examples = tuple(e for e in found if not e.token_weights or any(e.token_weights))
    if not examples:
        raise DataError(
            f"{source}: the token_weights of all {len(found)} rows are 0, so nothing is trained on; change them"
        )
    return Loaded(examples, len(found) - len(examples))


def distinct(examples: Sequence[Example], source: Source) -> list[Example]:
    """The examples without exact repetitions of an earlier one.

    Raises:
        DataError: two rows share an id that they bring.
    """
    examples = list(examples)
    repeated = [(i, n) for i, n in Counter(e.id for e in examples).items() if n > 1]
    if not repeated:
        return examples
    if any("id" in e.fields or "id" in source.columns for e in examples):
        raise DataError(f"{source}: the id '{repeated[0][0]}' is that of {repeated[0][1]} rows; make ids unique")
    return _drop_copies(examples)


def _drop_copies(examples: Sequence[Example]) -> list[Example]:
    """Identical rows are one example: their id is their content."""
    return list({e.id: e for e in examples}.values())


def own_ids(examples: Sequence[Example]) -> list[str]:
    """An id for each example: its own, or where an earlier one has that, with the next free number (`id~2`)."""
    used = {e.id for e in examples}
    last: Counter[str] = Counter()
    ids: list[str] = []
    for example in examples:
        own = example.id
        last[example.id] += 1
        while last[example.id] > 1 and own in used:
            own = f"{example.id}~{last[example.id]}"
            last[example.id] += own in used
        used.add(own)
        ids.append(own)
    return ids


def to_example(row: Row, where: str, source: Source) -> Example:
    """One row as an example; its form follows from the columns unless the source states it."""
    columns = _columns(row, where, source)
    text = {what: row.get(name) for what, name in columns.items() if name is not None}
    context: tuple[Message, ...] = ()
    ids: tuple[int, ...] = ()
    form: Form
    given = {what for what, value in text.items() if value is not None}
    if source.form == "tokens" or (source.form is None and _only_ids(given)):
        ids = token_ids(text.get("token_ids"), where)
        prompt, response, form = "", " ".join(map(str, ids)), "tokens"
    elif "messages" in given or ("messages" in text and not given & {"prompt", "response", "text"}):
        context, prompt, response = _conversation(text["messages"], where)
        form = source.form or "qa"
    elif source.form == "text" or (source.form is None and _only_text(text, given)):
        body = "text" if "text" in given or "response" not in given else "response"
        prompt = _string(text.get("prompt", ""), "prompt", where) if "response" in given else ""
        response = _string(text.get(body), "text", where, columns, row)
        form = "text"
    else:
        prompt = _string(text.get("prompt"), "prompt", where, columns, row)
        prompt = "\n\n".join(part for part in (prompt, _input(text, columns, where, source)) if part)
        response = _string(text.get("response"), "response", where, columns, row)
        form = "qa"
    if not response.strip():
        raise DataError(
            f"{where}: the response is empty, so there is nothing to learn or forget; fill or remove the row"
        )
    if form == "qa" and source.max_tokens is not None:
        raise DataError(f"{where}: is a question with its answer, and max_tokens cuts texts; leave it out")
    weights, targets = _token_weights(text.get("token_weights"), text.get("target_ids"), where)
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
        token_weights=weights,
        target_ids=targets,
        token_ids=ids,
        max_tokens=source.max_tokens,
        group=_name(text.get("group")),
        kind=_name(text.get("kind")),
        where=where,
        fields={k: v for k, v in row.items() if k not in columns.values() or k == columns["id"]},
    )


def _only_ids(given: set[str]) -> bool:
    return "token_ids" in given and not {"messages", "prompt", "response", "text"} & given


def _only_text(text: Row, given: set[str]) -> bool:
    """Whether a row is a document. A column that is null there belongs to the other rows of its file."""
    if "text" in given:
        return "response" not in given
    return "text" in text and not given & {"prompt", "response"}


def _input(text: Row, columns: dict[str, str | None], where: str, source: Source) -> str | None:
    """The input of an instruction, if it is in a column of its own (`input`, as in Alpaca)."""
    if columns["prompt"] == columns["input"] or not ("input" in source.columns or columns["prompt"] == "instruction"):
        return None
    return _optional(text.get("input"), "input", where)


def _columns(row: Row, where: str, source: Source) -> dict[str, str | None]:
    """The name of the column that holds each field of an example, or None."""
    for what, name in source.columns.items():
        if name not in row:
            raise DataError(f"{where}: no column '{name}' (mapped to {what}); {nearest(name, map(str, row))}")
    return dict(_tried(tuple(row))) | source.columns


@lru_cache(maxsize=256)
def _tried(names: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    """(field, column) where a recipe maps none; the rows of a file mostly have the same names."""
    return tuple((what, next((name for name in tried if name in names), None)) for what, tried in COLUMNS.items())


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
    if _SURROGATE.search(value):
        raise DataError(f"{where}: the {what} holds half of a character (a lone surrogate); fix its encoding")
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


def _token_weights(weights: object, ids: object, where: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """(weights, their token ids) of a row's supervised tokens, each empty where the row has none."""
    if weights is None:
        return (), ()
    if not isinstance(weights, list) or not weights or any(type(w) not in (int, float) for w in weights):
        raise DataError(
            f"{where}: the token_weights are {_shown(weights)}, not a list of numbers; write [1.0, -1.0, …]"
        )
    if not all(map(math.isfinite, weights)):
        raise DataError(f"{where}: a token weight is not finite; write a number, 0 for a token that is not trained on")
    if ids is None:
        return tuple(map(float, weights)), ()
    if not isinstance(ids, list) or any(type(i) is not int for i in ids):
        raise DataError(f"{where}: the target_ids are {_shown(ids)}, not a list of whole numbers; write [1, 2, …]")
    if len(ids) != len(weights):
        raise DataError(f"{where}: has {len(weights)} token_weights and {len(ids)} target_ids; give as many")
    return tuple(map(float, weights)), tuple(ids)


def _conversation(value: object, where: str) -> tuple[tuple[Message, ...], str, str]:
    """(earlier turns, last user turn, last assistant turn) of a list of {role, content}."""
    try:
        turns = [_turn(t) for t in value]  # type: ignore[attr-defined]
    except (TypeError, KeyError):
        raise DataError(f"{where}: messages are not a list of objects with role and content") from None
    roles = [t.role for t in turns]
    if any(r not in ("system", "user", "assistant") for r in roles):
        raise DataError(f"{where}: a message's role must be system, user or assistant, not {_shown(roles)}")
    if roles[-2:] != ["user", "assistant"]:
        raise DataError(f"{where}: the last two messages must be user and assistant; they are {_shown(roles[-2:])}")
    if not all(isinstance(t.content, str) for t in turns):
        raise DataError(f"{where}: a message's content is not text; fix the row")
    return tuple(turns[:-2]), turns[-2].content, turns[-1].content


_SPEAKERS: dict[object, Literal["system", "user", "assistant"]] = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
}
"""Roles of conversations whose turns are written as `from` and `value`."""


def _turn(turn: Mapping[str, Any]) -> Message:
    if "role" not in turn and "from" in turn:
        return Message(_SPEAKERS.get(turn["from"], turn["from"]), turn["value"])
    return Message(turn["role"], turn["content"])


def overlap(first: Iterable[Example], second: Iterable[Example]) -> list[Example]:
    """The examples of `first` whose prompt and response, but for case and spaces, also occur in `second`."""
    there = {said(e) for e in second}
    return [e for e in first if said(e) in there]


def said(example: Example) -> str:
    """The text of an example without case and spacing: a line for each earlier turn, the prompt and the response."""
    parts = (*(m.content for m in example.context), example.prompt, example.response)
    return "\n".join(" ".join(part.casefold().split()) for part in parts)
