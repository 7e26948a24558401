"""Rows out of files and hub datasets, each with where it stood."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TextIO, TypeVar, cast

from forgetting.core.errors import DataError, RowError
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.data import hub
from forgetting.data.folders import (
    DOCUMENTS,
    ROWS,
    document,
    encoding_of,
    ending,
    files_below,
    is_saved,
    no_such,
    not_text,
)
from forgetting.data.json_items import NotAListError, json_items
from forgetting.data.reading import FIRST, Reading, bad_rows
from forgetting.data.source import Source
from forgetting.data.tokens import array_rows

Row = dict[str, object]
Placed = tuple[str, Row | RowError]
"""A row, or why it is none, and where it stands."""
JSON_TEXT = {b"forgetting": b"json"}
"""The mark of a Parquet column of texts that are JSON, which are read as values."""
_ASTRAY = "a cell's quote stands behind a space, so that it quotes nothing; take that space out"
_ONE_SPLIT = Source.model_fields["split"].default
_DELIMITERS = ",;\t|"
_LONGEST_CELL = min(sys.maxsize, 2**31 - 1)
"""csv refuses cells of more than 131,072 characters unless it is told otherwise; documents are longer."""
_Made = TypeVar("_Made")


def read_rows(source: Source, reading: Reading | None = None) -> Iterator[tuple[str, Row]]:
    """Yields (`file:line`, row) for each row of a file, a folder or a hub dataset, up to the source's limit.

    Args:
        source: where they are.
        reading: takes what else is found, bad rows too if they are to be skipped; without one none is skipped.

    Raises:
        DataError: no such file or dataset, an unknown ending, or malformed lines (named by their numbers).
    """
    if reading is None:
        source, reading = strict(source), Reading()
    yield from each_row(source, reading, lambda row, where: (where, row))


def strict(source: Source) -> Source:
    """The source, whose bad rows are errors."""
    return source.model_copy(update={"on_bad_row": "stop"})


def each_row(source: Source, reading: Reading, make: Callable[[Row, str], _Made]) -> Iterator[_Made]:
    """What `make` makes of each row of a source and its place, up to the source's limit.

    A row that is none, or that `make` refuses by a RowError, is bad. With `on_bad_row: skip` it is left out and noted;
    else nothing after it is yielded, and once there are ten, or no more rows, all of them are the error.

    Raises:
        DataError: bad rows, or a file that cannot be read at all or any further.
    """
    stops = source.on_bad_row == "stop"
    rows = islice(_placed_rows(source, reading), source.limit)
    while True:
        try:
            where, row = next(rows)
        except StopIteration:
            break
        except DataError as error:
            if stops and reading.bad:
                raise DataError(f"{bad_rows(reading.bad, source, whole=True)}; and {error}") from error
            raise
        reading.rows += 1
        try:
            if isinstance(row, RowError):
                raise row
            made = make(row, where)
        except RowError as error:
            reading.bad.append(error)
            if stops and len(reading.bad) == FIRST:
                raise bad_rows(reading.bad, source, whole=False) from error
            continue
        if not (stops and reading.bad):
            yield made
    if stops and reading.bad:
        raise bad_rows(reading.bad, source, whole=True)


def _placed_rows(source: Source, reading: Reading) -> Iterator[Placed]:
    path = Path(source.path or "")
    if source.hub is not None:
        yield from _numbered(source, hub.downloaded(source))
    elif is_saved(path):
        yield from _numbered(source, hub.saved(path, source))
    elif source.split != _ONE_SPLIT:
        raise DataError(f"{source}: 'split' is {source.split}, but only datasets of the hub have splits; leave it out")
    elif path.is_dir():
        for file in files_below(path, reading.files):
            yield from _file_rows(file, file.relative_to(path).as_posix())
    else:
        yield from _file_rows(path, path.name, Path(source.suffix) if source.suffix is not None else None)


def _numbered(source: Source, rows: Iterable[Row]) -> Iterator[Placed]:
    return ((f"{source}[{number}]", row) for number, row in enumerate(rows))


def _file_rows(path: Path, name: str, suffix: Path | None = None) -> Iterator[Placed]:
    """The rows of one file, which a folder knows as `name`."""
    if not path.is_file():
        raise no_such(path)
    kind = ending(path)
    if kind in DOCUMENTS:
        yield str(path), _document(path, name)
        return
    if kind not in ROWS:
        raise DataError(
            f"{path}: cannot read '{kind or path.name}' files; give one of {', '.join((*ROWS, *DOCUMENTS))} "
            "(.gz allowed), or a folder of them"
        )
    if kind == ".parquet":
        yield from _parquet(path)
        return
    if kind == ".npy":
        yield from array_rows(path, suffix)
        return
    try:
        with _open(path) as file:
            yield from {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _csv}[kind](path, file)
    except UnicodeDecodeError as error:
        raise not_text(path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({said(error)}); repair it or give another file") from error


def _document(path: Path, name: str) -> Row | RowError:
    try:
        return document(path, name)
    except RowError as error:
        return error


def _open(path: Path) -> TextIO:
    """The text of a file. Bytes that are not UTF-8 become half characters, so that the row they stand in is named."""
    encoding = encoding_of(path)
    errors = "surrogateescape" if encoding == "utf-8-sig" and ending(path) != ".json" else "strict"
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding=encoding, newline="", errors=errors))
    return path.open(encoding=encoding, newline="", errors=errors)


def _jsonl(path: Path, file: TextIO) -> Iterator[Placed]:
    for number, line in enumerate(file, 1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, _json_row(line, where)


def _json_row(line: str, where: str) -> Row | RowError:
    byte = _no_text(line)
    if byte is not None:
        return RowError(where, f"not UTF-8 text (byte {byte} of the line); save the file as UTF-8")
    try:
        return _as_row(json.loads(line, object_pairs_hook=_once), where)
    except json.JSONDecodeError as error:
        return RowError(where, f"not JSON ({error.msg} at column {error.colno}); fix or remove this line")
    except (ValueError, RecursionError) as error:
        return RowError(where, f"not JSON ({_reason(error)}); fix or remove this line")


def _no_text(text: str) -> int | None:
    """The place, in bytes, of the first byte of a text that is not UTF-8; None: all of it is."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return len(text[: error.start].encode())
    return None


def _once(pairs: Sequence[tuple[str, object]]) -> Row:
    """The object of these keys and values; json itself keeps the last of two values of one key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key '{twice}' stands twice in an object")
    return found


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0][:100]


def _json(path: Path, file: TextIO) -> Iterator[Placed]:
    try:
        for number, row in enumerate(json_items(file, made=_once), 1):
            where = f"{path}, item {number}"
            yield where, _as_row(row, where)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not JSON ({error.msg}); one object a line goes into a .jsonl file"
        ) from error
    except NotAListError as other:
        raise DataError(f"{path}: holds a {type(other.value).__name__}, not a list of objects") from other
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({_reason(error)}); fix it") from error


def _csv(path: Path, file: TextIO) -> Iterator[Placed]:
    """Rows of cells; of a .tsv file those between tabs, in which a quote is a quote."""
    csv.field_size_limit(_LONGEST_CELL)
    first = next(file, "")
    tabs = ending(path) == ".tsv"
    delimiter = "\t" if tabs else _delimiter(first)
    astray = re.compile(rf"{re.escape(delimiter)} +\"[^\"\r\n{re.escape(delimiter)}]")
    lines: list[str] = []  # those of the row that is read
    noting = _noting(chain([first], file), lines)
    if tabs:
        reader = csv.DictReader(noting, strict=True, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.DictReader(noting, strict=True, delimiter=delimiter)
    try:
        names = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        _check_once(names, f"{path}:{reader.line_num}")
        for row in reader:
            where = f"{path}:{reader.line_num}"
            # Within quotes a quote is doubled, or the cell ends there; this one is meant to begin a cell and does not.
            strayed = not tabs and any(map(astray.search, lines))
            lines.clear()
            yield where, RowError(where, _ASTRAY) if strayed else _csv_row(row, where)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.reader.line_num}: not CSV ({error})") from error


def _check_once(columns: Iterable[str], where: str) -> None:
    twice = next((name for name, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{where}: the column '{twice}' stands twice; remove one of them")


def _noting(lines: Iterable[str], noted: list[str]) -> Iterator[str]:
    for line in lines:
        noted.append(line)
        yield line


def _delimiter(header: str) -> str:
    """What parts the cells: a comma; or, where the header has none of those, what does part it."""

    def cells(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter), []))

    return "," if cells(",") > 1 else max(_DELIMITERS, key=cells)


def _csv_row(row: Mapping[str, str | None], where: str) -> Row | RowError:
    found: Row = {}
    for name, cell in row.items():
        if name is None or cell is None:
            return RowError(where, "has not as many cells as the header; quote cells that hold commas")
        if _no_text(cell) is not None:
            return RowError(where, f"the column '{name}' is not UTF-8 text; save the file as UTF-8")
        found[name] = cell.replace("\r\n", "\n")
    return found


def _parquet(path: Path) -> Iterator[Placed]:
    """Row group by row group, counted from 0."""
    if path.suffix == ".gz":
        raise DataError(f"{path}: a Parquet file is packed in itself and read as it is; unpack it with gunzip")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_once(file.schema_arrow.names, str(path))
            marked = [field.name for field in file.schema_arrow if _is_json_text(field.metadata)]
            groups = range(file.num_row_groups)
            batches = chain.from_iterable(file.iter_batches(batch_size=1024, row_groups=[group]) for group in groups)
            for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
                row |= {name: read_json(row[name]) for name in marked if row[name] is not None}
                yield f"{path}, row {number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a whole Parquet file ({said(error)}); write it again or give another file"
        ) from error


def _is_json_text(metadata: dict[bytes, bytes] | None) -> bool:
    return metadata is not None and JSON_TEXT.items() <= metadata.items()


def _as_row(row: object, where: str) -> Row | RowError:
    if not isinstance(row, dict):
        return RowError(where, f"is a {type(row).__name__}, not an object with named fields")
    return row
