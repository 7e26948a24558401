"""Rows out of files and hub datasets, each with where it stood."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO, cast

from forgetting.core.errors import DataError
from forgetting.data import hub
from forgetting.data.folders import DOCUMENTS, ROWS, document, ending, files_below, is_saved, no_such, not_utf8
from forgetting.data.json_items import NotAListError, json_items
from forgetting.data.source import Source
from forgetting.data.tokens import array_rows

Row = dict[str, object]
JSON_TEXT = {b"forgetting": b"json"}
"""The mark of a Parquet column of texts that are JSON, which are read as values."""


def read_rows(source: Source) -> Iterator[tuple[str, Row]]:
    """Yields (`file:line`, row) for each row of a file, a folder or a hub dataset.

    Raises:
        DataError: no such file or dataset, an unknown ending, or a malformed line (named by its number).
    """
    path = Path(source.path or "")
    if source.hub is not None:
        yield from _numbered(source, hub.downloaded(source))
    elif is_saved(path):
        yield from _numbered(source, hub.saved(path, source))
    elif path.is_dir():
        for file in files_below(path):
            yield from _file_rows(file, file.relative_to(path).as_posix())
    else:
        yield from _file_rows(path, path.name, Path(source.suffix) if source.suffix is not None else None)


def _numbered(source: Source, rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    return ((f"{source}[{number}]", row) for number, row in enumerate(rows))


def _file_rows(path: Path, name: str, suffix: Path | None = None) -> Iterator[tuple[str, Row]]:
    """The rows of one file, which a folder knows as `name`."""
    if not path.is_file():
        raise no_such(path)
    kind = ending(path)
    if kind in DOCUMENTS:
        yield str(path), document(path, name)
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
            yield from {".jsonl": _jsonl, ".json": _json, ".csv": _csv}[kind](path, file)
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); repair it or give another file") from error


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _jsonl(path: Path, file: TextIO) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not JSON ({error.msg} at column {error.colno}); fix or remove this line"
            ) from error
        yield where, _as_row(row, where)


def _json(path: Path, file: TextIO) -> Iterator[tuple[str, Row]]:
    try:
        for number, row in enumerate(json_items(file), 1):
            where = f"{path}, item {number}"
            yield where, _as_row(row, where)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not JSON ({error.msg}); one object a line goes into a .jsonl file"
        ) from error
    except NotAListError as other:
        raise DataError(f"{path}: holds a {type(other.value).__name__}, not a list of objects") from other


def _csv(path: Path, file: TextIO) -> Iterator[tuple[str, Row]]:
    reader = csv.DictReader(file, strict=True)
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{where}: has not as many cells as the header; quote cells that hold commas")
            yield where, cast(Row, row)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.reader.line_num}: not CSV ({error})") from error


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    """Row group by row group, counted from 0."""
    if path.suffix == ".gz":
        raise DataError(f"{path}: a Parquet file is packed in itself and read as it is; unpack it with gunzip")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            marked = [field.name for field in file.schema_arrow if _is_json_text(field.metadata)]
            groups = range(file.num_row_groups)
            batches = chain.from_iterable(file.iter_batches(batch_size=1024, row_groups=[group]) for group in groups)
            for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
                row |= {name: json.loads(row[name]) for name in marked if row[name] is not None}
                yield f"{path}, row {number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error).strip().split("\n")[0][:200]
        raise DataError(f"{path}: not a whole Parquet file ({why}); write it again or give another file") from error


def _is_json_text(metadata: dict[bytes, bytes] | None) -> bool:
    return metadata is not None and JSON_TEXT.items() <= metadata.items()


def _as_row(row: object, where: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{where}: is a {type(row).__name__}, not an object with named fields")
    return row
