"""A file of JSON objects that grows as a process works, one a line, so that one that was killed goes on where it was.

Each line holds its own SHA-256 and the name of its file (`core/sealed.py`). A line that a kill cut or that was damaged
is taken out when the file is opened, and what it held is made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from forgetting.core.errors import RunError
from forgetting.core.folder import unwritable, written_file
from forgetting.core.locks import locked
from forgetting.core.progress import Voice
from forgetting.core.sealed import sealed, unsealed
from forgetting.core.written import read_json

T = TypeVar("T")


@contextmanager
def kept_lines(path: Path, read: Callable[[dict[str, Any]], T], voice: Voice) -> Iterator[list[T]]:
    """What the lines of a file hold, in their order; its folder is this process's alone until the block ends.

    Another process that holds it is waited for, since what it makes need not be made again. It is said how many lines
    are damaged; a cut last one is not: that is what a kill leaves.

    Args:
        path: in a folder of its own.
        read: makes a value of a line; raises `ValueError`, `TypeError`, `KeyError` or `AttributeError` if it holds
            none.
        voice: receives both sentences.

    Raises:
        RunError: the folder cannot be read or written.
    """
    with locked(path.parent, lambda: voice.say(f"another process is filling {path}; waiting for it")):
        try:
            found = _read(path, read, voice)
        except OSError as error:
            raise RunError(f"{path}: cannot be read ({error.strerror}); choose another output") from error
        yield found


def add_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes objects behind those of a file that `kept_lines` holds.

    Raises:
        RunError: the disk cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(sealed(row, _name(path))) + "\n" for row in rows)
    except OSError as error:
        raise unwritable(path, error) from error


def _read(path: Path, read: Callable[[dict[str, Any]], T], voice: Voice) -> list[T]:
    *lines, cut = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    found, sound = list[T](), list[bytes]()
    for line in lines:
        try:
            found.append(read(unsealed(read_json(line), _name(path))))
            sound.append(line)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    if len(sound) < len(lines):
        damaged = len(lines) - len(sound)
        voice.say(f"{path}: {damaged:,} of {len(lines):,} lines are damaged; what they held is made again")
    if cut or len(sound) < len(lines):
        with written_file(path) as partial:
            partial.write_bytes(b"".join(line + b"\n" for line in sound))
    return found


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
