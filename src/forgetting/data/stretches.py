"""Data of any size as stretches of text, each with its place, in memory that does not grow with the data."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from forgetting.core.errors import DataError
from forgetting.core.text import said
from forgetting.data.files import read_rows
from forgetting.data.folders import TEXTS, document, encoding_of, ending, files_below, holds_documents, not_text, opened
from forgetting.data.reading import Reading
from forgetting.data.row_words import row_body, row_texts
from forgetting.data.source import Source

STRETCH = 20_000
"""Characters of a long text that are searched at once, where no longer overlap is asked for."""
FILE_NAME = ((0, "file name"),)
"""The columns of a stretch that is the name of a document."""
_OVERLAPS = 4


@dataclass(frozen=True, slots=True)
class Stretch:
    """A row, a document, or a part of a long one."""

    where: str
    """The file and the line or row; of a document the file."""
    text: str
    body: str | None
    """Of a whole row: its prompt, response, text or messages; "" where the text is only a part."""
    begins: bool
    """Whether a row or a document begins with it."""
    columns: tuple[tuple[int, str], ...] = ()
    """(first character, column) of each text of a row; empty: a document."""
    skipped: int = 0
    """Of a part: the characters of its row or document before it."""
    line: int = 1
    """Of a part of a document: the line that it begins in."""

    def place(self, start: int) -> dict[str, object]:
        """Where a character of the text stands: column and offset there, or line and offset in the file.

        Both count characters; lines begin with 1, offsets with 0.
        """
        offset = self.skipped + start
        if not self.columns:
            return {"line": self.line + self.text.count("\n", 0, start), "offset": offset}
        first, name = self.columns[bisect_right([first for first, _ in self.columns], offset) - 1]
        return {"column": name, "offset": offset - first}


def stretches(source: Source, overlap: int, reading: Reading | None = None) -> Iterator[Stretch]:
    """The rows and documents of a source; long ones in stretches.

    Args:
        overlap: characters that a stretch has in common with the one before, so that nothing shorter is cut.
        reading: takes what else is found, as in `read_rows`.

    Raises:
        DataError: a file that cannot be read, or a malformed row.
    """
    path, left_out = Path(source.path or ""), None if reading is None else reading.files
    if source.path is not None and holds_documents(path):
        inside = (
            [(file, file.relative_to(path).as_posix()) for file in files_below(path, left_out)] if path.is_dir() else []
        )
        for file, name in islice(inside or [(path, path.name)], source.limit):
            yield from _document(file, name, overlap)
        return
    for where, row in read_rows(source, reading):
        yield from _row(where, row, overlap)


def _row(where: str, row: Mapping[str, object], overlap: int) -> Iterator[Stretch]:
    named = list(row_texts(row))
    columns, first = [], 0
    for name, text in named:
        columns.append((first, name))
        first += len(text) + 1
    text = "\n".join(text for _, text in named)
    body = row_body(row)
    for start, stop in _cuts(text, overlap):
        whole = stop - start == len(text)
        yield Stretch(where, text[start:stop], body if whole else "", start == 0, tuple(columns) or ((0, ""),), start)


def _cuts(text: str, overlap: int) -> Iterator[tuple[int, int]]:
    size, start = max(STRETCH, _OVERLAPS * overlap), 0
    while len(text) - start > size + overlap:
        stop = _word_end(text, start + size + overlap)
        yield start, stop
        start = _word_end(text, stop - overlap)
    yield start, len(text)


def _word_end(text: str, place: int) -> int:
    """The place behind the last space before a place; the place itself if there is none near it."""
    near = max(text.rfind(space, max(0, place - 1_000), place) for space in " \n")
    return near + 1 if near >= 0 else place


def _document(path: Path, name: str, overlap: int) -> Iterator[Stretch]:
    """A document: first its name, then its text as it stands in the file."""
    yield Stretch(str(path), name, "", True, FILE_NAME)
    if ending(path) not in TEXTS:
        yield from _converted(path, name, overlap)
        return
    size = max(STRETCH, _OVERLAPS * overlap) + overlap
    text, skipped, line, whole = "", 0, 1, True
    try:
        with opened(path) as raw, TextIOWrapper(raw, encoding=encoding_of(path), newline="") as file:
            while True:
                more = file.read(max(1, size + 1 - len(text)))
                text += more
                if "\0" in more:
                    raise DataError(f"{path}: holds a zero byte, so it is no text; save it as UTF-8 text")
                if len(text) <= size:
                    break
                stop = _word_end(text, size)
                yield Stretch(str(path), text[:stop], "", False, (), skipped, line)
                start = _word_end(text, stop - overlap)
                line, skipped, text, whole = line + text.count("\n", 0, start), skipped + start, text[start:], False
    except UnicodeDecodeError as error:
        raise not_text(path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({said(error)}); repair it or give another file") from error
    yield Stretch(str(path), text, text if whole else "", False, (), skipped, line)


def _converted(path: Path, name: str, overlap: int) -> Iterator[Stretch]:
    """A document that is no plain text: the text that it is converted to, whose lines are not those of the file."""
    text = str(document(path, name)["text"])
    for start, stop in _cuts(text, overlap):
        whole = stop - start == len(text)
        line = 1 + text.count("\n", 0, start)
        yield Stretch(str(path), text[start:stop], text if whole else "", False, (), start, line)
