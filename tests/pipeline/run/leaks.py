"""A search of every byte of a folder for texts, in every form in which our files may hold them."""

from __future__ import annotations

import gzip
import html
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load as load_tensors


def leaks(roots: Iterable[Path], texts: Sequence[str], ids: Sequence[Sequence[int]] = ()) -> list[tuple[str, str]]:
    """(file, what it holds) of every text, and of every sequence of token ids, that a file under `roots` holds."""
    found = []
    needles = [(text, _forms(text)) for text in texts]
    for file in sorted(f for root in roots for f in root.rglob("*") if f.is_file()):
        contents = [text for raw in _contents(file) for text in _folded(raw)]
        found += [(str(file), text) for text, forms in needles if any(n in c for c in contents for n in forms)]
        numbers = _numbers(file)
        found += [(str(file), f"ids of {s}") for s in map(_spaced, ids) if any(s in held for held in numbers)]
    return found


def _forms(text: str) -> set[str]:
    plain = {text, " ".join(text.split())}
    escaped = {json.dumps(t)[1:-1] for t in plain} | {json.dumps(t, ensure_ascii=False)[1:-1] for t in plain}
    return {form.casefold() for form in plain | escaped | {html.escape(t) for t in plain}}


def _folded(raw: bytes) -> list[str]:
    """Case-folded, read as UTF-8 and, from even and odd bytes on, as UTF-16 of either order."""
    wide = [(raw[start:], f"utf-16-{order}") for start in (0, 1) for order in ("le", "be")]
    return [part.decode(encoding, "ignore").casefold() for part, encoding in [(raw, "utf-8"), *wide]]


def _contents(file: Path) -> Iterator[bytes]:
    """The bytes, and what they are once unpacked and once their pieces are put together."""
    raw = file.read_bytes()
    yield raw
    yield str(file).encode()
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    if zipfile.is_zipfile(io.BytesIO(raw)):  # what torch.save writes
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if file.suffix == ".parquet":
        yield repr(pq.read_table(file).to_pylist()).encode()
    if file.suffix in (".html", ".htm"):
        yield html.unescape(re.sub(r"<[^>]*>", "", raw.decode())).encode()
    if file.suffix in (".json", ".jsonl"):
        for value in _documents(raw.decode()):
            leaves = list(_leaves(value))
            yield from (leaf.encode() for leaf in leaves)
            yield "".join(leaves).encode()  # tokens one by one


def _documents(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
    except ValueError:
        for line in text.split("\n"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _leaves(inner)


def _numbers(file: Path) -> list[str]:
    """Every sequence of whole numbers in a file, as text: of JSON, tables, arrays and tensors."""
    raw = file.read_bytes()
    if file.suffix in (".json", ".jsonl", ".html"):
        return [_spaced(re.findall(r"\d+", run)) for run in re.findall(r"\d+(?:[\s,]+\d+)+", raw.decode())]
    arrays: list[Any] = []
    if file.suffix == ".parquet":
        arrays = [cell for row in pq.read_table(file).to_pylist() for cell in row.values() if isinstance(cell, list)]
    if file.suffix == ".safetensors" and raw:
        arrays = list(load_tensors(raw).values())
    if file.suffix == ".npy":
        arrays = [np.load(file)]
    if file.suffix in (".pt", ".pkl"):
        arrays = [np.frombuffer(raw, dtype=kind, count=len(raw) // kind().itemsize) for kind in (np.int32, np.int64)]
    return [_spaced(a.tolist()) for a in map(np.asarray, arrays) if a.ndim == 1 and a.dtype.kind in "iu"]


def _spaced(numbers: Iterable[object]) -> str:
    return " " + " ".join(map(str, numbers)) + " "
