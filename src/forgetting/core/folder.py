"""Files and folders that are whole or absent: written under another name, synced, marked complete, then renamed.

The mark of a folder holds the SHA-256 of every file in it, so that a file that was damaged later is noticed.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname

from safetensors import SafetensorError

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError
from forgetting.core.sealed import sealed, unsealed

MARK = "COMPLETE.json"
_WITHOUT_DIGESTS = "COMPLETE"
"""The mark of earlier versions, which may be empty; under a name of its own, so that an emptied mark is not one."""
PARTIAL = ".*.partial"
"""Matches the names under which files and folders are written."""
_OF_RUST = re.compile(r"\(os error \d+\)$")


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into. It replaces `folder` only when the block ends without error and all is on disk.

    Otherwise `folder` is unchanged. Only a folder that was written in this way is ever replaced.

    Raises:
        RunError: the disk cannot be written, or `folder` holds other files.
    """
    partial, old = _aside(folder)
    check_replaceable(folder)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        inside = sorted(path for path in partial.rglob("*") if path.name != MARK)
        for path in inside:
            sync(path)
        digests = {p.relative_to(partial).as_posix(): file_digest(p) for p in inside if p.is_file()}
        (partial / MARK).write_text(json.dumps(sealed({"files": digests}), indent=1), encoding="utf-8")
        sync(partial / MARK)
        sync(partial)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        partial.rename(folder)
        sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        if _is_of_the_disk(error):
            raise unwritable(folder, error) from error
        raise


def _is_of_the_disk(error: Exception) -> bool:
    """Whether a file could not be written. Weights and tokenizers are written in Rust, which says so in words only."""
    return isinstance(error, OSError | SafetensorError) or bool(_OF_RUST.search(str(error)))


def check_replaceable(folder: Path) -> None:
    """Checks that `written_whole` would lose nothing there.

    Raises:
        RunError: it holds files that were not written in that way, or is a file.
    """
    if folder.exists() and not is_complete(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: holds other files, which would be lost; choose an empty or a new folder")


def is_complete(folder: Path) -> bool:
    """Whether `folder` was written completely."""
    return mark_of(folder).is_file()


def mark_of(folder: Path) -> Path:
    """The mark of a complete folder."""
    earlier = folder / _WITHOUT_DIGESTS
    return earlier if earlier.is_file() and not (folder / MARK).is_file() else folder / MARK


def is_kept(folder: Path) -> bool:
    """Whether `folder` was written completely, now or before a kill between two renames, after which `recover` acts."""
    return is_complete(folder) or is_complete(_aside(folder)[1])


def damage(folder: Path, *, read: bool = True) -> str:
    """What is wrong with a complete folder, its path first; empty if nothing is, or if an earlier version wrote it.

    Files that were added later are not looked at.

    Args:
        folder: with its mark.
        read: whether files are read and compared; otherwise it is only checked that they are there.
    """
    mark = mark_of(folder)
    try:
        text = mark.read_text(encoding="utf-8")
        is_plain = not text and mark.name == _WITHOUT_DIGESTS
        why = "" if is_plain else damaged_file(folder, unsealed(json.loads(text))["files"], read=read)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        why = f"{mark.name} is damaged"
    return f"{folder}: {why}" if why else ""


def damaged_file(folder: Path, digests: Mapping[str, str], *, read: bool = True) -> str:
    """The first file that is missing or has another SHA-256, and which of both; empty if there is none.

    Raises:
        OSError: a file cannot be read.
    """
    for name, known in digests.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if read and file_digest(folder / name) != known:
            return f"{name} is damaged"
    return ""


def recover(folder: Path) -> bool:
    """Restores the old folder after a kill between two renames, and removes unfinished files.

    Returns whether something half-written was discarded.
    """
    partial, old = _aside(folder)
    half_written = folder.exists() and not is_complete(folder)
    discarded = half_written or partial.exists()
    if half_written:
        remove(folder)
    if not folder.exists() and is_complete(old):
        old.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    return discarded


def remove(path: Path) -> None:
    """Removes a file, a link or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_partial(folder: Path, *, deep: bool = True) -> None:
    """Removes the half-written files that killed processes left in a folder that no process is using.

    Args:
        deep: also those in folders inside it.
    """
    for path in sorted(folder.rglob(PARTIAL) if deep else folder.glob(PARTIAL)):
        remove(path)


def partial_of(path: Path) -> Path:
    """Where this process writes a file before it is renamed; several may write one file at once.

    Raises:
        RunError: the path ends in no name.
    """
    check_named(path)
    return path.with_name(f".{path.name}.{gethostname()}.{os.getpid()}.partial")


def _remove_of_the_dead(path: Path) -> None:
    """Removes the half-written forms of a file whose writers, processes of this machine, no longer run."""
    for partial in path.parent.glob(f".{glob.escape(path.name)}.{glob.escape(gethostname())}.*.partial"):
        number = partial.name.split(".")[-2]
        if number.isdigit() and not _runs(int(number)):
            partial.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    if os.name == "nt":  # there, the same call would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextmanager
def written_file(path: Path) -> Iterator[Path]:
    """Where to write a file that is whole or absent: it replaces `path` when the block ends without error.

    The file is synced before it takes its place, and so is its name.

    Raises:
        RunError: the disk cannot be written.
    """
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_of_the_dead(path)
        yield partial
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file that is whole or absent.

    Raises:
        RunError: the disk cannot be written.
    """
    with written_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file that is whole or absent.

    Raises:
        RunError: the disk cannot be written.
    """
    with written_file(path) as partial:
        partial.write_bytes(content)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a file of lines that is whole or absent; each ends in a newline, which `lines` leave out.

    Raises:
        RunError: the disk cannot be written.
    """
    with written_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line + "\n")


def unwritable(path: Path, error: Exception) -> RunError:
    """What to say if `path` cannot be written."""
    why = getattr(error, "strerror", None) or error
    return RunError(f"{path}: cannot be written ({why}); free space, make it writable or choose another output")


def check_named(path: Path) -> None:
    """Checks that a path ends in a name, as that of a new file or folder must.

    Raises:
        RunError: it is `.` or empty, or ends in `..` or `/`.
    """
    if path.name in ("", ".."):
        raise RunError(f"'{path}' names no new file or folder; write its name")


def check_writable(path: Path) -> None:
    """Checks that a file or folder can be written, before the work starts; the folder that holds it is made later.

    Raises:
        RunError: it cannot be.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_of(path).touch()
        partial_of(path).unlink()
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def check_suffix(path: Path, *suffixes: str) -> None:
    """Checks that a file to write has one of these suffixes, so that it replaces none of another kind.

    Raises:
        RunError: it has another.
    """
    check_named(path)
    if path.suffix.lower() not in suffixes:
        raise RunError(f"{path}: would be written as {suffixes[0]}; choose a name that ends in {' or '.join(suffixes)}")


def _aside(folder: Path) -> tuple[Path, Path]:
    check_named(folder)
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
