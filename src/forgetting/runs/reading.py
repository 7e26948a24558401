"""JSON files of a run folder, sealed when written; read as typed values, with errors that name the file and the key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from forgetting.core.errors import RunError
from forgetting.core.folder import write_text
from forgetting.core.sealed import sealed, unsealed
from forgetting.core.written import read_json

T = TypeVar("T")
RUN_AGAIN = "remove the file and start the run again"
"""What to do about a damaged file that a run writes."""


def write_object(file: Path, values: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Writes a JSON object with its name and its digest; the file is whole or absent.

    Raises:
        RunError: the disk cannot be written.
    """
    write_text(file, json.dumps(sealed(values, file.name), indent=indent, ensure_ascii=False))


def read_object(file: Path, *, what: str, mend: str) -> dict[str, Any]:
    """Reads a file that holds a JSON object, and checks it by its digest.

    Args:
        file: to read.
        what: what it should hold, for the error message.
        mend: what to do if it does not, for the same message.

    Raises:
        RunError: it is missing, holds something else or what was written as another file, or was changed since.
    """
    try:
        raw = read_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror}); {mend}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: not readable as JSON ({error}); {mend}") from error
    if not isinstance(raw, dict):
        raise RunError(f"{file}: holds a {type(raw).__name__}, not {what}; {mend}")
    try:
        return unsealed(raw, file.name)
    except ValueError as error:
        raise RunError(f"{file}: is damaged: {error}; {mend}") from error


def leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """The single values of nested mappings and lists, each with its dotted key.

    An entry of a list is known by its name; where it has none of its own, by its place.
    """
    parts: list[tuple[object, object]] = []
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, list):
        names = [v.get("name") if isinstance(v, Mapping) else None for v in value]
        own = [isinstance(name, str) and names.count(name) == 1 for name in names]
        parts = [(name if its else i, v) for i, (name, its, v) in enumerate(zip(names, own, value, strict=True))]
    if not parts:
        yield key, value
    for name, part in parts:
        yield from leaves(part, f"{key}.{name}" if key else str(name))


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
