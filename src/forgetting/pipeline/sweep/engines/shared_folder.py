"""Whether the processes of other machines see the folder of the runs, and its locks.

The process that hands out the runs keeps a folder inside it, with a lock of its own and under a name that nobody knows
beforehand. A worker looks for it and for its lock, and leaves a file in it, which the first process looks for.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from forgetting.core.errors import RunError
from forgetting.core.folder import remove, unwritable
from forgetting.core.locks import LOCK, held_by_system, is_held

DELAY = 60.0
"""Seconds until a file that one machine has made is seen by another (NFS keeps the names in a folder so long)."""
_POLL = 0.25


@dataclass(frozen=True)
class Probe:
    """A folder that is there while runs are handed out."""

    path: Path
    """Absolute."""
    delay: float = DELAY

    def check(self) -> None:
        """Looks for it from a worker.

        Raises:
            RunError: the folder that it lies in is another one here, or locks do not reach this machine.
        """
        if not _within(self.delay, (self.path / LOCK).is_file):
            raise RunError(
                f"{socket.gethostname()}: does not see what was written to {self.path.parent}; its runs would be lost, "
                "so choose an output=… on a file system that every node has"
            )
        if not is_held(self.path):
            raise RunError(
                f"{socket.gethostname()}: does not see the locks in {self.path.parent}, so that a run could be written "
                "twice at once; mount it with locks between nodes (NFS 4, or Lustre with flock)"
            )

    def answer(self, name: str) -> None:
        """Leaves a file in it, from a worker.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            (self.path / name).touch()
        except OSError as error:
            raise RunError(f"{socket.gethostname()}: {unwritable(self.path.parent, error)}") from error

    def check_answer(self, name: str, host: str) -> None:
        """Looks for the file of a worker.

        Raises:
            RunError: what is written there is not seen here.
        """
        if not _within(self.delay, (self.path / name).is_file):
            raise RunError(
                f"{host}: what it wrote to {self.path.parent} is not seen here; its runs would be lost, so choose an "
                "output=… on a file system that every node has"
            )


@contextmanager
def probed(folder: Path) -> Iterator[Probe]:
    """A probe in `folder`, which is made if it is missing. Those that killed processes left there are removed.

    Raises:
        RunError: the folder cannot be written, or its file system has no locks.
    """
    probe = Probe(folder.absolute() / f".probe-{uuid.uuid4().hex}.partial")
    try:
        for left in folder.glob(".probe-*.partial"):
            if (left / LOCK).is_file() and not is_held(left):
                remove(left)
        probe.path.mkdir(parents=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        with held_by_system(probe.path):
            yield probe
    finally:
        with suppress(OSError):
            remove(probe.path)


def _within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(_POLL)
    return found
