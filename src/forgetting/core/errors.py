"""Errors that a user can fix. Each is one line that names the file, row, key or column and says what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

_KINDS = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "str": "a text",
    "list": "a list",
    "dict": "an object",
}


class ForgettingError(Exception):
    """The base of every error meant for the user: the command prints it as one line and exits with code 2."""


class DataError(ForgettingError):
    """A data file, a row in it, or a set of examples that cannot be used."""


class RowError(DataError):
    """A row that cannot be used, while the others of its file may be.

    Args:
        where: its place: `facts.jsonl:17`.
        reason: what is wrong and what to do, with `{}` where the message shows the value.
        value: what the message shows of the row.
    """

    def __init__(self, where: str, reason: str, value: object = None) -> None:
        self.where, self.reason, self.value = where, reason, value
        super().__init__(f"{where}: {self.said}")

    @property
    def said(self) -> str:
        """The reason with an excerpt of the value."""
        return self.reason.replace("{}", shown(self.value))

    @property
    def without_text(self) -> str:
        """The reason with nothing of the row but a value's type."""
        kind = type(self.value).__name__
        return self.reason.replace("{}", _KINDS.get(kind, kind))

    def __reduce__(self) -> tuple[type[RowError], tuple[str, str, object]]:
        return RowError, (self.where, self.reason, self.value)


def shown(value: object) -> str:
    """A value as a message shows it: its first 40 characters and its type."""
    return f"{json.dumps(value, default=str)[:40]} ({type(value).__name__})"


class RecipeError(ForgettingError):
    """A recipe key, value or combination that has no meaning."""


class ModelError(ForgettingError):
    """A model, tokenizer or adapter that cannot be loaded or is not what the recipe asks for."""


class RunError(ForgettingError):
    """A run folder, checkpoint or record file that cannot be written, read or continued."""


class CollapseError(ForgettingError):
    """Training became non-finite, or the retained knowledge collapsed; the last good checkpoint is kept."""


class ElsewhereError(ForgettingError):
    """Another process of the same run failed and reports why; this one only has to exit."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `name`: `did you mean 'x'?` or the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are no known names here"
