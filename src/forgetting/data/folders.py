"""Folders as data: documents below them, one a file, or the shards of one set of data."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from forgetting.core.errors import DataError, nearest

DOCUMENTS = (".txt", ".md")
"""Endings of files that hold one document each."""
ROWS = (".jsonl", ".json", ".csv", ".parquet", ".npy")
"""Endings of files that hold a row for each example."""
SAVED = ("dataset_dict.json", "state.json")
"""The files at the top of a folder that `datasets` wrote (`save_to_disk`): of several splits, of one."""
_CARD = "readme.md"


def ending(path: Path) -> str:
    """The kind of a file by its name, compressed (.gz) or not."""
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def is_saved(path: Path) -> bool:
    """Whether it is a folder that `datasets` wrote with `save_to_disk`."""
    return path.is_dir() and any((path / name).is_file() for name in SAVED)


def holds_documents(path: Path) -> bool:
    """Whether it is a document, or a folder of documents; a folder that cannot be used is none."""
    if path.is_dir() and not is_saved(path):
        try:
            return ending(files_below(path)[0]) in DOCUMENTS
        except DataError:
            return False  # who reads it says what is wrong
    return ending(path) in DOCUMENTS and path.is_file()


def files_below(folder: Path) -> list[Path]:
    """All files of a folder and the folders below it, in the order of their names: documents, or rows of one kind.

    What begins with a point is passed over, and so is the card of a dataset (README.md) beside its data.

    Raises:
        DataError: there is none, one of a kind that is not read, or files of several kinds.
    """
    try:
        inside = [(p, p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); change its permissions") from error
    names = {p: name for p, name in inside if not any(part.startswith(".") for part in name.parts)}
    files = sorted(names, key=lambda p: names[p].parts)
    if any(ending(p) in ROWS for p in files):
        files = [p for p in files if p.name.lower() != _CARD]
    if not files:
        known = ", ".join((*DOCUMENTS, *ROWS))
        raise DataError(f"{folder}: holds no files; put documents or data into it ({known}; .gz allowed)")
    _check_kinds(folder, files)
    return files


def _check_kinds(folder: Path, files: Sequence[Path]) -> None:
    strange = next((p for p in files if ending(p) not in (*DOCUMENTS, *ROWS)), None)
    if strange is not None:
        raise DataError(
            f"{strange}: a folder of documents holds {' and '.join(DOCUMENTS)} files, one of data {', '.join(ROWS)}; "
            "turn it into one of them, or move it out"
        )
    kinds = {"documents" if ending(p) in DOCUMENTS else ending(p): p for p in reversed(files)}
    if len(kinds) > 1:
        (one, first), (other, second) = sorted(kinds.items())[:2]
        raise DataError(
            f"{folder}: holds {one} and {other} ({first.name}, {second.name}); give each kind a folder of its own"
        )


def document(path: Path, name: str) -> dict[str, object]:
    """A document as a row: its text without spaces around it, and its name as its id and its group.

    Raises:
        DataError: it is not UTF-8, holds a zero byte, cannot be read, or is empty.
    """
    if any("\ud800" <= c <= "\udfff" for c in name):
        raise DataError(f"{name!r}: the name of this file is not UTF-8; rename it")
    try:
        with opened(path) as file:
            content = file.read()
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); repair it or give another file") from error
    if "\0" in text:
        raise DataError(f"{path}: holds a zero byte (byte {content.index(0)}), so it is no text; save it as UTF-8 text")
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise DataError(f"{path}: is empty; write something into it, or remove it")
    return {"id": name, "group": name, "text": text}


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where it is packed."""
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def not_utf8(path: Path) -> DataError:
    """The error of a file that is not UTF-8: which of its bytes, counted from 0 (of the unpacked file)."""
    decoder, read = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        with opened(path) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    return _not_utf8(path, read + error.start - pending)
                read += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        return DataError(f"{path}: cannot be read ({error}); repair it or give another file")
    return _not_utf8(path, read - len(decoder.getstate()[0]))


def _not_utf8(path: Path, byte: int) -> DataError:
    return DataError(f"{path}: not UTF-8 text (byte {byte}); save it as UTF-8")


def no_such(path: Path) -> DataError:
    """The error of a path where nothing is."""
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return DataError(f"{path}: no such file; {nearest(path.name, siblings) if siblings else 'check the path'}")
