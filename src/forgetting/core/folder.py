"""Files and folders that are whole or absent: written under another name, synced, marked complete, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forgetting.core.errors import RunError

MARK = "COMPLETE"


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into. It replaces `folder` only when the block ends without error and all is on disk.

    Otherwise `folder` is unchanged. Only a folder that was written in this way is ever replaced.

    Raises:
        RunError: the disk cannot be written, or `folder` holds other files.
    """
    partial, old = _aside(folder)
    if folder.exists() and not is_complete(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: holds other files, which would be lost; choose an empty or a new folder")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                sync(file)
        (partial / MARK).touch()
        sync(partial)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        partial.rename(folder)
        sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise RunError(f"{folder}: cannot be written ({error.strerror or error}); choose another output") from error


def is_complete(folder: Path) -> bool:
    """Whether `folder` was written completely."""
    return (folder / MARK).is_file()


def recover(folder: Path) -> bool:
    """Restores the old folder after a kill between two renames, and removes unfinished files.

    Returns whether something half-written was discarded.
    """
    partial, old = _aside(folder)
    half_written = folder.exists() and not is_complete(folder)
    discarded = half_written or partial.exists()
    if half_written:
        shutil.rmtree(folder)
    if not folder.exists() and is_complete(old):
        old.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return discarded


def partial_of(path: Path) -> Path:
    """Where this process writes a file before it is renamed; several may write one file of a cache at once."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_text(path: Path, text: str) -> None:
    """Writes a file that is whole or absent.

    Raises:
        RunError: the disk cannot be written.
    """
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        sync(partial)
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error}); choose another output") from error


def _aside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.partial"), folder.with_name(f".{folder.name}.old")


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk. Folders are skipped if the system cannot open them."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
