"""A folder of token scores: its files, and how they are read with one part in memory at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetting.core.errors import RunError
from forgetting.core.folder import written_file
from forgetting.core.text import said
from forgetting.core.written import read_json
from forgetting.data.encode import Encoded

FORMAT = 1
META = "scores.json"
BEGUN = "unfinished.json"
"""The models of unfinished scores, and the seconds spent; replaced by `scores.json`."""
WHOSE = ("model", "reference", "tokenizer")
"""The fingerprints that are known before the rows."""
_KEYS = {*WHOSE, "data", "rows", "tokens", "seconds"}
_ROWS = b"rows"
"""The key under which a part's file stores the fingerprint of its rows."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """The scores of one row: N tokens of weight ≠ 0, log p in nats."""

    key: str
    target_ids: NDArray[np.int32]
    base_logp_N: Floats
    reference_logp_N: Floats

    @property
    def quality(self) -> Floats:
        """Q = log p_reference − log p_base (Forgetting, eq. 5), fp32 `[N]`."""
        return self.reference_logp_N - self.base_logp_N


@dataclass(frozen=True, slots=True)
class Part:
    """The scores of R rows with N tokens in all, concatenated."""

    keys: Sequence[str]
    counts_R: NDArray[np.int64]
    target_ids: NDArray[np.int32]
    base_logp_N: Floats
    reference_logp_N: Floats

    @property
    def quality(self) -> Floats:
        """Q of all tokens, `[N]`."""
        return self.reference_logp_N - self.base_logp_N

    def __iter__(self) -> Iterator[ScoredRow]:
        """The rows, as views."""
        start = 0
        for key, count in zip(self.keys, self.counts_R.tolist(), strict=True):
            here = slice(start, start + count)
            yield ScoredRow(key, self.target_ids[here], self.base_logp_N[here], self.reference_logp_N[here])
            start += count

    def first_not_finite(self) -> tuple[str, int] | None:
        """The key of the first row with a non-finite quality, and the 0-based index of the token."""
        bad = np.flatnonzero(~np.isfinite(self.quality))
        if not len(bad):
            return None
        ends = np.cumsum(self.counts_R)
        row = int(np.searchsorted(ends, bad[0], side="right"))
        return self.keys[row], int(bad[0] - ends[row] + self.counts_R[row])


class Scores:
    """The scores of a corpus on disk; every iteration streams them again.

    Attributes:
        meta: the content of `scores.json`: fingerprints of model, reference, tokenizer and data, rows, tokens, seconds.

    Raises:
        RunError: the folder has none, they are not finished, or a file is missing or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._files = part_files(self.folder)
        self.meta = _read_meta(self.folder, begun=bool(self._files))
        found = sum(_rows_of(file) for file in self._files)
        if found != self.rows:
            raise RunError(
                f"{self.folder}: its parts hold {found:,} rows, but {META} says {self.rows:,}; score again into a new "
                "folder"
            )

    @property
    def rows(self) -> int:
        """The number of scored rows."""
        return int(self.meta["rows"])

    @property
    def tokens(self) -> int:
        """The number of scored tokens."""
        return int(self.meta["tokens"])

    def parts(self) -> Iterator[Part]:
        """The rows in their original order, some at a time."""
        return (read_part(file) for file in self._files)

    def __iter__(self) -> Iterator[ScoredRow]:
        return (row for part in self.parts() for row in part)


def check_same(folder: Path, there: Mapping[str, Any], here: Mapping[str, str]) -> None:
    """Raises if a fingerprint of the scores differs from the expected one."""
    other = [
        f"another {what} ({there.get(what)} there, {now} here)" for what, now in here.items() if there.get(what) != now
    ]
    if other:
        raise RunError(
            f"{folder}: these are scores of {' and '.join(other)}; score again into another folder, or use what was "
            "scored"
        )


def row_bytes(encoded: Encoded) -> bytes:
    """A row's key, its token ids and which of them are scored, for an incremental digest of rows."""
    return repr((encoded.key, encoded.ids)).encode() + bytes(w != 0 for w in encoded.weights)


def rows_fingerprint(rows: Iterable[Encoded]) -> str:
    """16 hex digits of the rows in order: keys, token ids and which are scored; not size or sign of the weights."""
    digest = hashlib.sha256()
    for encoded in rows:
        digest.update(row_bytes(encoded))
    return digest.hexdigest()[:16]


def part_files(folder: Path) -> list[Path]:
    """The existing parts, in order."""
    return sorted(folder.glob("part-*.parquet"))


def part_file(folder: Path, number: int) -> Path:
    """The file of the part with this number."""
    return folder / f"part-{number:06d}.parquet"


def is_part_of(file: Path, rows: str) -> bool:
    """Whether the file exists, can be read, and holds the rows with this fingerprint.

    Raises:
        RunError: it holds other rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = (pq.read_schema(file).metadata or {}).get(_ROWS, b"").decode()
    except (OSError, pa.ArrowException):
        return False
    if found != rows:
        raise RunError(f"{file}: holds the scores of other rows; score into another folder, or remove this one")
    return True


def write_part(file: Path, part: Part, rows: str) -> None:
    """Writes a part that is whole or absent; the same part gives the same bytes.

    Raises:
        RunError: the disk cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    offsets = pa.array(np.concatenate([[0], np.cumsum(part.counts_R)]).astype(np.int32))
    columns = {"target_ids": part.target_ids, "base_logp": part.base_logp_N, "reference_logp": part.reference_logp_N}
    lists = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in columns.items()}
    table = pa.table({"key": pa.array(part.keys, pa.string())} | lists).replace_schema_metadata({_ROWS: rows})
    with written_file(file) as partial:
        pq.write_table(table, partial, write_page_checksum=True)


def read_part(file: Path) -> Part:
    """Reads a part that `write_part` wrote.

    Raises:
        RunError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            table = opened.read()
        ids, base, reference = (
            table.column(name).combine_chunks() for name in ("target_ids", "base_logp", "reference_logp")
        )
        counts_R = ids.value_lengths().to_numpy().astype(np.int64)
        flat = (column.flatten().to_numpy() for column in (ids, base, reference))
        return Part(table.column("key").to_pylist(), counts_R, *flat)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def _rows_of(file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> RunError:
    return RunError(f"{file}: cannot be read ({' '.join(str(error).split())}); remove it and score again")


def _read_meta(folder: Path, *, begun: bool) -> dict[str, Any]:
    file = folder / META
    if not file.is_file():
        why = "are not finished; score again to resume" if begun else "do not exist; score first"
        raise RunError(f"{folder}: the scores {why}")
    try:
        meta = read_json(file.read_text())
        missing = _KEYS - set(meta)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file}: cannot be read ({said(error)}); remove the folder and score again") from error
    if missing or meta.get("format") != FORMAT:
        what = f"lacks {', '.join(sorted(missing))}" if missing else f"has format {meta.get('format')!r}, not {FORMAT}"
        raise RunError(f"{file}: {what}; remove the folder and score again")
    return dict(meta)
