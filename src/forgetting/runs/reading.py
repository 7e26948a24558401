"""JSON files of a run folder as typed values, and errors that name the file and the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from forgetting.core.errors import RunError
from forgetting.core.written import read_json

T = TypeVar("T")


def read_object(file: Path, *, what: str, mend: str) -> dict[str, Any]:
    """Reads a file that holds a JSON object.

    Args:
        file: to read.
        what: what it should hold, for the error message.
        mend: what to do if it does not, for the same message.

    Raises:
        RunError: it is missing or holds something else.
    """
    try:
        raw = read_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror}); {mend}") from error
    except ValueError as error:
        raise RunError(f"{file}: not readable as JSON ({error}); {mend}") from error
    if not isinstance(raw, dict):
        raise RunError(f"{file}: holds a {type(raw).__name__}, not {what}; {mend}")
    return raw


def as_typed(kind: TypeAdapter[T], raw: Mapping[str, Any], place: object, mend: str) -> T:
    """A JSON object as a typed value.

    Raises:
        RunError: a key has a wrong value; the message names it after `place`.
    """
    try:
        return kind.validate_python(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{place}: {key}: {first['msg'].lower()}; {mend}") from error
