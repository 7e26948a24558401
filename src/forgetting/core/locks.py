"""Folders that belong to one process at a time."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from forgetting.core.errors import RunError

LOCK = ".lock"
"""The file in a folder that its lock is taken on."""
_POLL = 0.25
"""Seconds between two looks at a lock of another process."""
_GLANCE = 0.2
"""Seconds for which a lock may be held by a process that only looks whether another holds it (`is_held`)."""
_MOST = 10.0
"""Seconds in which a folder that nobody else knows is locked."""


@contextmanager
def locked(folder: Path, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Locks the folder for this process and creates it if it is missing.

    Nobody waits for a lock without `wait`, so its file goes when it is given back; another's stays for those who wait.

    Args:
        wait: called before waiting for another process; None: another process is an error.

    Raises:
        RunError: the folder cannot be written, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=_GLANCE, poll_interval=_GLANCE / 10)
        except Timeout:
            if wait is None:
                raise RunError(f"{folder}: another process is using this folder; wait for it to end") from None
            wait()
            lock.acquire()
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error}); choose another output=…") from error
    try:
        yield
    finally:
        lock.release()
        if wait is None:
            with suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether a process holds the folder."""
    if not (folder / LOCK).is_file():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def wait_until_free(folder: Path, seconds: float) -> None:
    """Waits while another process holds the folder, which may be ending, but not longer than so many seconds."""
    end = time.monotonic() + seconds
    while is_held(folder) and time.monotonic() < end:
        time.sleep(_POLL)


@contextmanager
def held_by_system(folder: Path) -> Iterator[None]:
    """Locks a folder of this process's own by a lock that ends with the process, however that ends.

    Raises:
        RunError: the folder cannot be written, or its file system has no such locks.
    """
    lock = FileLock(folder / LOCK)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # filelock warns where it falls back to a file that outlives its process
            lock.acquire(timeout=_MOST)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror or error}); choose another output=…") from error
    try:
        if isinstance(lock, SoftFileLock):
            raise RunError(
                f"{folder.parent}: this file system has no locks (flock), so that a run could be written twice at "
                "once; mount it with flock, or choose another output=…"
            )
        yield
    finally:
        lock.release()
