"""Texts → embeddings, in blocks: by a model of sentence-transformers, or read from a file where they were stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from forgetting.core.errors import DataError, ModelError

Vectors = NDArray[np.float32]
BLOCK = 1024
"""Texts or embeddings that are held at once."""


class Embedder(Protocol):
    """Whatever turns texts into embeddings."""

    @property
    def about(self) -> Mapping[str, object]:
        """Its entry in a provenance: at least its name."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One embedding per text, `[texts, d]`, whatever their length."""


class SentenceEmbedder:
    """A model of sentence-transformers; a text beyond its longest input is read up to there.

    Args:
        name: a folder or a hub id.
        batch_size: texts per forward.

    Raises:
        ModelError: the package is missing, or the model cannot be loaded.
    """

    def __init__(self, name: str, *, batch_size: int = 32) -> None:
        try:
            from sentence_transformers import SentenceTransformer, __version__
        except ImportError:
            raise ModelError(
                f"{name}: needs the package sentence-transformers; pip install 'forgetting[embed]'"
            ) from None
        try:
            self._model = SentenceTransformer(name, model_kwargs={"use_safetensors": True})
        except Exception as error:  # the hub's and the loaders' errors share no base
            why = str(error).strip().split("\n")[0][:200]
            raise ModelError(f"{name}: cannot be loaded as an embedder ({type(error).__name__}: {why})") from error
        self._batch_size = batch_size
        self.about: Mapping[str, object] = {
            "name": name,
            "max_tokens": self._model.max_seq_length,
            "sentence_transformers": __version__,
        }

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One embedding per text, `[texts, d]`."""
        found = self._model.encode(list(texts), batch_size=self._batch_size, show_progress_bar=False)
        return np.asarray(found, dtype=np.float32)


def embedded(
    texts: Iterable[tuple[str, str]], embedder: Embedder, block: int = BLOCK
) -> Iterator[tuple[list[str], Vectors]]:
    """(ids, embeddings `[≤ block, d]`) of (id, text) pairs, computed block by block.

    Raises:
        DataError: an embedding is not finite, is all zeros, or there is not one for each text.
    """
    stream = iter(texts)
    while part := list(islice(stream, block)):
        ids = [name for name, _ in part]
        vectors = embedder.embed([text for _, text in part])
        if vectors.ndim != 2 or len(vectors) != len(ids):
            raise DataError(f"{embedder.about.get('name')}: gave {list(vectors.shape)} for {len(ids)} texts")
        _check(vectors, ids)
        yield ids, vectors


def stored(path: Path, ids: Iterable[str], block: int = BLOCK) -> Iterator[tuple[list[str], Vectors]]:
    """The same from an array `[texts, d]` of a .npy file, whose rows are in the order of the texts.

    Raises:
        DataError: no such array, another number of rows than texts, or a row that is not finite or all zeros.
    """
    rows = len(_array(path))
    stream = iter(ids)
    start = 0
    while part := list(islice(stream, block)):
        if start + len(part) > rows:
            raise DataError(f"{path}: has {rows} rows, but there are more texts; store one embedding per text")
        # Mapped again for each block, so that pages that were read do not stay.
        vectors = np.array(_array(path)[start : start + len(part)], dtype=np.float32)
        _check(vectors, [f"{path}, row {start + i}" for i in range(len(part))])
        yield part, vectors
        start += len(part)
    if start < rows:
        raise DataError(f"{path}: has {rows} rows, but there are {start} texts; store one embedding per text")


def _array(path: Path) -> NDArray:
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: not an array; save embeddings [texts, d] with numpy.save") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise DataError(f"{path}: does not hold embeddings; save floats [texts, d] with numpy.save")
    return values


def _check(vectors: Vectors, names: Sequence[str]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64, casting="same_kind")
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(bad):
        what = "all zeros" if norms[bad[0]] == 0 else "not finite"
        raise DataError(f"{names[bad[0]]}: its embedding is {what}, so it has no direction; fix or remove it")
