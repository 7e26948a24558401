"""Cached results that runs share, keyed by their inputs.

An entry is a folder named by the digest of everything its content depends on. It is complete once it contains
`entry.json`, which is written last, after everything else is on disk, and holds a count and the SHA-256 of every file.
An entry that does not match is removed and computed again. One process computes an entry; the others wait for it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.folder import damaged_file, remove_partial, sync, write_text
from forgetting.core.locks import LOCK, locked
from forgetting.core.processes import by_first, first_holds, on_first
from forgetting.core.sealed import sealed, unsealed
from forgetting.core.written import read_json

MANIFEST = "entry.json"


@dataclass(frozen=True)
class Entry:
    """One entry, locked by this process. The caller may resume or overwrite the files of an incomplete entry."""

    folder: Path

    def is_complete(self, say: Callable[[str], None] = lambda line: None) -> bool:
        """Whether the entry can be used. A damaged entry is reported and removed, and must be computed again."""
        return on_first(lambda: self._is_complete(say))

    def _is_complete(self, say: Callable[[str], None]) -> bool:
        if not (self.folder / MANIFEST).is_file():
            return False
        why = self._damage()
        if why:
            say(f"{self.folder}: {why}; computing it again")
            self.clear()
        return not why

    def _damage(self) -> str:
        """What is wrong with a finished entry; empty if nothing is."""
        try:
            entry = unsealed(read_json((self.folder / MANIFEST).read_text(encoding="utf-8")))
            return damaged_file(self.folder, entry["files"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"{MANIFEST} is damaged"

    @property
    def count(self) -> int:
        """How many items a complete entry holds."""
        return int(read_json((self.folder / MANIFEST).read_text(encoding="utf-8"))["count"])

    def complete(self, count: int, files: Iterable[str] | None = None) -> None:
        """Marks the entry as complete, once its files are on disk.

        Args:
            count: how many items it holds.
            files: its files, relative to the folder; None: all files in the folder.

        Raises:
            RunError: the disk cannot be written.
        """
        by_first(lambda: self._complete(count, files))

    def _complete(self, count: int, files: Iterable[str] | None) -> None:
        found = sorted(self._present() if files is None else files)
        try:
            for name in found:
                sync(self.folder / name)
            digests = {name: file_digest(self.folder / name) for name in found}
        except OSError as error:
            raise RunError(
                f"{error.filename or self.folder}: cannot be written ({error.strerror}); free space or choose another "
                "output"
            ) from error
        write_text(self.folder / MANIFEST, json.dumps(sealed({"count": count, "files": digests}), indent=1))

    def _present(self) -> list[str]:
        inside = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return [path.as_posix() for path in inside if not path.name.startswith(".") and path.name != MANIFEST]

    def clear(self) -> None:
        """Removes everything but the lock."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()


@dataclass(frozen=True)
class Cache:
    """A folder of entries of one kind."""

    folder: Path

    @contextmanager
    def entry(self, key: str, wait: Callable[[], None] = lambda: None) -> Iterator[Entry]:
        """The entry of this key, locked until the block ends; several processes of one run enter it together.

        Args:
            key: the digest of everything the content depends on.
            wait: called before waiting for another run that holds the entry.

        Raises:
            RunError: the disk cannot be written.
        """
        folder = self.folder / key
        with first_holds(lambda: _held(folder, wait)):
            yield Entry(folder)


@contextmanager
def _held(folder: Path, wait: Callable[[], None]) -> Iterator[None]:
    with locked(folder, wait):
        remove_partial(folder)
        yield
