"""Errors that a user can fix. Each is one line that names the file, row, key or column and says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

from forgetting.core.text import one_line, shown, unquoted

_LISTED = 40
"""Names that a message lists."""

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
    """The base of every error meant for the user: the command prints it as one line and exits with code 2.

    It is one plain line, whatever names and values it quotes.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


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


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust (tokenizers, safetensors) gave up, which is no `Exception`."""
    return type(error).__module__ == "pyo3_runtime"


@contextmanager
def said_of(key: str) -> Iterator[None]:
    """Inside, an error in what a user wrote names the key under which it was written."""
    try:
        yield
    except RowError as error:
        raise RowError(f"{key}: {error.where}", error.reason, error.value) from error
    except (DataError, RecipeError) as error:
        said = str(error)
        if said.startswith((f"{key}:", f"'{key}")):
            raise
        raise type(error)(f"{key}: {said}") from error


@contextmanager
def redacted(hide: bool = True) -> Iterator[None]:
    """Inside, if `hide`, no error says anything of the data: neither its line nor its traceback.

    Raises:
        RunError: in place of an error of other code, which may quote anything; it says where that was raised.
    """
    if not hide:
        yield
        return
    try:
        with unquoted():
            yield
    except (ForgettingError, OSError) as error:
        raise error from None  # what caused it may quote more
    except Exception as error:
        last = extract_tb(error.__traceback__)[-1]
        raise RunError(
            f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}; what it says may quote the data, so "
            "a redacted run does not show it; run without redact on other data to read it"
        ) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `name`: `did you mean 'x'?` or the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if not names:
        return "there is none"
    return f"known: {', '.join(names[:_LISTED])}" + (f" and {len(names) - _LISTED} more" if names[_LISTED:] else "")
