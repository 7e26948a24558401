"""A judge's replies on disk, by the digest of the prompt: one line each, written as it comes. Lines hold no prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forgetting.core.kept_lines import add_lines, kept_lines
from forgetting.core.progress import SILENT, Voice


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge wrote, and what it cost."""

    text: str
    prompt_tokens: int | None = None
    """None: not said."""
    reply_tokens: int | None = None


class KeptReplies:
    """The replies of one judge in one file, see `kept_in`; without a file, in memory alone."""

    def __init__(self, file: Path | None, found: dict[str, Reply] | None = None) -> None:
        self.file = file
        self._found = {} if found is None else found

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
        if self.file is not None:
            add_lines(self.file, [{"prompt": key, **asdict(reply)}])


@contextmanager
def kept_in(file: Path, voice: Voice = SILENT) -> Iterator[KeptReplies]:
    """The replies of a file (see `kept_lines`), which one process at a time may add to.

    Raises:
        RunError: the folder cannot be written.
    """
    with kept_lines(file, _reply, voice) as found:
        yield KeptReplies(file, dict(found))


def _reply(row: dict[str, Any]) -> tuple[str, Reply]:
    return str(row.pop("prompt")), Reply(**row)
