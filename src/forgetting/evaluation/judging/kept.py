"""A judge's replies on disk, by the digest of the prompt: one line each, written as it comes.

Lines hold no prompts. A last line that a process was killed in is left out and asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forgetting.core.errors import RunError
from forgetting.core.locks import locked
from forgetting.core.progress import SILENT, Voice
from forgetting.core.written import read_json


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge wrote, and what it cost."""

    text: str
    prompt_tokens: int | None = None
    """None: not said."""
    reply_tokens: int | None = None


class KeptReplies:
    """The replies of one judge in one file, see `kept_in`; without a file, in memory alone."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._found: dict[str, Reply] = {} if file is None else dict(_lines(file))

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def get(self, key: str) -> Reply | None:
        """The reply to the prompt with this digest."""
        return self._found.get(key)

    def add(self, key: str, reply: Reply) -> None:
        """Keeps a reply, in memory and, if there is a file, on disk.

        Raises:
            RunError: the disk cannot be written.
        """
        self._found[key] = reply
        if self.file is None:
            return
        try:
            with self.file.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps({"prompt": key, **asdict(reply)}) + "\n")
        except OSError as error:
            raise RunError(
                f"{self.file}: cannot be written ({error.strerror}); free space, then start again"
            ) from error


@contextmanager
def kept_in(file: Path, voice: Voice = SILENT) -> Iterator[KeptReplies]:
    """The replies of a file, which one process at a time may add to; a line cut short is taken off its end.

    Another process that asks the same judge is waited for, which is said: its replies need not be asked for again.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file.parent, lambda: voice.say("another run is asking the same judge; waiting")):
            if file.is_file():
                whole = file.read_bytes()
                if whole and not whole.endswith(b"\n"):
                    with file.open("r+b") as handle:
                        handle.truncate(whole.rfind(b"\n") + 1)
            yield KeptReplies(file)
    except OSError as error:
        raise RunError(f"{file}: cannot be written ({error.strerror}); choose another output") from error


def _lines(file: Path) -> Iterator[tuple[str, Reply]]:
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        try:
            row: dict[str, Any] = read_json(line)
            key = str(row.pop("prompt"))
            yield key, Reply(**row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(
                f"{file}:{number}: not a judge's reply; remove the line to have it asked for again"
            ) from error
