"""Errors that a user can fix. Each is one line that names the file, row, key or column and says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ForgettingError(Exception):
    """The base of every error meant for the user: the command prints it as one line and exits with code 2."""


class DataError(ForgettingError):
    """A data file, a row in it, or a set of examples that cannot be used."""


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
