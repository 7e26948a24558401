"""The text of an example that builders compare, and the row that they write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.data.examples import own_ids, said
from forgetting.data.noise import as_row
from forgetting.data.source import COLUMNS

_COLUMNS = frozenset(name for names in COLUMNS.values() for name in names)


def text_of(example: Example) -> str:
    """The text that is compared with the domain: earlier turns, prompt and response, a line each.

    Raises:
        DataError: the example is token ids or carries token weights, which a text would lose.
    """
    if example.form == "tokens" or example.token_weights:
        what = "token ids" if example.form == "tokens" else "token weights"
        raise DataError(f"{example.where or example.id}: holds {what}; forget sets are built of plain text")
    return "\n".join(part for part in (*(m.content for m in example.context), example.prompt, example.response) if part)


def without_repeats(examples: Iterable[Example]) -> list[Example]:
    """The examples without those that repeat an earlier one but for case and spaces."""
    found: dict[str, Example] = {}
    for example in examples:
        found.setdefault(said(example), example)
    return list(found.values())


def own_names(examples: Sequence[Example]) -> list[Example]:
    """The examples under ids of their own: those of different files may share one."""
    return [e if e.id == own else replace(e, id=own) for e, own in zip(examples, own_ids(examples), strict=True)]


def row_of(example: Example, about: Mapping[str, object]) -> dict[str, object]:
    """A row that is read back as the example without any mapping of columns, with what the builder found out about it.

    Columns that the source did not map, but under whose names something else is looked for, are left out.
    """
    fields = {name: value for name, value in example.fields.items() if name not in _COLUMNS and name not in about}
    return as_row(replace(example, fields=fields)) | dict(about)
