"""Folders as data: documents below them, one a file, or the shards of one set of data."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from forgetting.core.errors import DataError, RowError, nearest
from forgetting.core.text import said
from forgetting.data.converted import CONVERTED, converted
from forgetting.data.reading import files_left_out

TEXTS = (".txt", ".md")
"""Endings of documents that are text as they are."""
DOCUMENTS = (*TEXTS, *CONVERTED)
"""Endings of files that hold one document each."""
ROWS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".npy")
"""Endings of files that hold a row for each example."""
SAVED = ("dataset_dict.json", "state.json")
"""The files at the top of a folder that `datasets` wrote (`save_to_disk`): of several splits, of one."""
_CARD = "readme.md"
_BLANK = 1 << 20
"""Bytes above which a file is not looked through for being blank."""


def ending(path: Path) -> str:
    """The kind of a file by its name in any case, compressed (.gz) or not."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


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


def files_below(folder: Path, left_out: Counter[str] | None = None) -> list[Path]:
    """All files of a folder and the folders below it, in the order of their names: documents, or rows of one kind.

    Left out, and counted in `left_out` by why: hidden files (below a name that begins with a point), links that lead
    out of the folder, and empty documents. The card of a dataset (README.md) beside its data is passed over.

    Raises:
        DataError: there is none, one of a kind that is not read, or files of several kinds.
    """
    left_out = Counter() if left_out is None else left_out
    try:
        inside = [(p, p.relative_to(folder)) for p in folder.rglob("*") if p.is_symlink() or p.is_file()]
        home = folder.resolve()
        names = {p: name for p, name in inside if not _is_hidden(name)}
        linked = [p for p in names if not p.is_file() or not p.resolve().is_relative_to(home)]
        files = sorted(names.keys() - set(linked), key=lambda p: names[p].parts)
        if any(ending(p) in ROWS for p in files):
            files = [p for p in files if p.name.lower() != _CARD]
        _check_kinds(folder, files)
        empty = [p for p in files if ending(p) in TEXTS and _is_empty(p)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); change its permissions") from error
    counts = {"hidden": len(inside) - len(names), "empty": len(empty), "linked": len(linked)}
    left_out.update({why: count for why, count in counts.items() if count})
    files = [p for p in files if p not in empty]
    if not files:
        known = ", ".join((*DOCUMENTS, *ROWS))
        rest = f" ({files_left_out(left_out)})" if left_out else ""
        raise DataError(f"{folder}: holds no files{rest}; put documents or data into it ({known}; .gz allowed)")
    return files


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _is_empty(path: Path) -> bool:
    """Whether a text holds nothing but spaces; one that cannot be read is not said to be empty."""
    if path.suffix != ".gz" and path.stat().st_size > _BLANK:
        return False
    try:
        with opened(path) as file:
            return not file.read().decode(encoding_of(path)).strip()
    except (UnicodeDecodeError, OSError, EOFError, zlib.error):
        return False


def _check_kinds(folder: Path, files: Sequence[Path]) -> None:
    strange = next((p for p in files if ending(p) not in (*DOCUMENTS, *ROWS)), None)
    if strange is not None:
        raise DataError(
            f"{strange}: a folder of documents holds {', '.join(DOCUMENTS)} files, one of data {', '.join(ROWS)}; "
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
        RowError: it is not in its encoding, holds a zero byte, cannot be read, or is empty.
        DataError: of a kind for which a further package has to be installed.
    """
    where = str(path)
    if any("\ud800" <= c <= "\udfff" for c in name):
        raise RowError(repr(name), "the name of this file is not UTF-8; rename it")
    if ending(path) not in TEXTS:
        return {"id": name, "group": name, "text": converted(path)}
    try:
        with opened(path) as file:
            content = file.read()
        text = content.decode(encoding_of(path))
    except UnicodeDecodeError as error:
        raise not_text(path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise RowError(where, f"cannot be read ({said(error)}); repair it or give another file") from error
    if "\0" in text:
        raise RowError(where, f"holds a zero byte (byte {content.index(0)}), so it is no text; save it as UTF-8 text")
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise RowError(where, "is empty; write something into it, or remove it")
    return {"id": name, "group": name, "text": text}


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where it is packed."""
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def encoding_of(path: Path) -> str:
    """How the text of a file is encoded: as its first bytes say, or in UTF-8."""
    with opened(path) as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def not_text(path: Path) -> RowError:
    """The error of a file that is not in its encoding: which of its bytes, counted from 0 (of the unpacked file)."""
    encoding = encoding_of(path)
    if encoding != "utf-8-sig":
        return RowError(str(path), f"begins as {encoding.upper()} and goes on otherwise; save it as UTF-8")
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
        return RowError(str(path), f"cannot be read ({said(error)}); repair it or give another file")
    return _not_utf8(path, read - len(decoder.getstate()[0]))


def _not_utf8(path: Path, byte: int) -> RowError:
    return RowError(str(path), f"not UTF-8 text (byte {byte}); save it as UTF-8")


def no_such(path: Path) -> DataError:
    """The error of a path where nothing is."""
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return DataError(f"{path}: no such file; {nearest(path.name, siblings) if siblings else 'check the path'}")
