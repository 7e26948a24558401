"""BC-Cosine of Forget-to-Focus (section 3.3): general texts whose embeddings lie farthest from the domain's centroid.

    c_T = mean over the domain of f(x),    d_cos(x) = 1 − f(x)ᵀ c_T / (‖f(x)‖ ‖c_T‖)

Embeddings come in blocks and none is kept: memory is one block and at most twice the number asked for plus a block's
candidates, however large the corpus. What is chosen is exactly what a sort of all distances would choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forgetting.core.errors import DataError
from forgetting.forget_sets.builders.embedding import Vectors
from forgetting.forget_sets.builders.separation import Tally

Centre = NDArray[np.float64]


class Placed(NamedTuple):
    """A text by its distance to the domain."""

    distance: float
    """1 − cosine, in [0, 2]."""
    id: str
    row: int
    """Of the corpus, from 0."""


def centroid(blocks: Iterable[Vectors]) -> Centre:
    """The mean embedding c_T, `[d]`, in float64.

    Raises:
        DataError: no embedding, or embeddings whose mean has no direction.
    """
    total: Centre | None = None
    count = 0
    for vectors_Nd in blocks:
        part = vectors_Nd.sum(axis=0, dtype=np.float64)
        total = part if total is None else total + part
        count += len(vectors_Nd)
    if total is None or not count:
        raise DataError("the domain holds no examples; give at least one")
    if not total.any():
        raise DataError("the domain's embeddings add up to zero, so their centroid has no direction; give other data")
    return total / count


def distances(vectors_Nd: Vectors, centre_d: Centre) -> NDArray[np.float64]:
    """d_cos of each embedding, `[N]`, in float64.

    A row's distance does not depend on the rows beside it, as it would with a matrix product (which rounds by block).

    Raises:
        DataError: the embeddings have another dimension than the centroid.
    """
    if vectors_Nd.shape[1] != len(centre_d):
        raise DataError(
            f"the general embeddings have {vectors_Nd.shape[1]} dimensions and the domain's {len(centre_d)}; "
            "make both with one embedder"
        )
    rows_Nd = vectors_Nd.astype(np.float64)
    dots_N = np.einsum("nd,d->n", rows_Nd, centre_d)
    norms_N = np.sqrt(np.einsum("nd,nd->n", rows_Nd, rows_Nd) * np.einsum("d,d->", centre_d, centre_d))
    return np.clip(1 - dots_N / norms_N, 0.0, 2.0)


def ranked(
    blocks: Iterable[tuple[Sequence[str], Vectors]],
    centre_d: Centre,
    count: int,
    *,
    nearest: bool = False,
    tally: Tally | None = None,
) -> list[Placed]:
    """The `count` texts farthest from the centroid (or nearest), the first first; equal distances go by id.

    Texts with one id are one text. Exact for every size of the blocks.

    Args:
        blocks: (ids, embeddings `[N, d]`), one after the other.
        tally: counts the distances of all texts, for a figure.

    Raises:
        DataError: there are fewer texts.
    """
    if count < 1:
        raise DataError(f"count is {count}; give at least 1")
    best = _Best(count)
    sign = 1.0 if nearest else -1.0
    for ids, vectors_Nd in blocks:
        found_N = distances(vectors_Nd, centre_d)
        if tally is not None:
            tally.add(found_N)
        best.offer(sign * found_N, ids)
    kept = best.sorted()
    if len(kept) < count:
        raise DataError(f"general: has {len(kept)} examples that differ, and {count} are asked of it; lower the count")
    return [Placed(sign * key, name, row) for key, name, row in kept]


class _Best:
    """The `count` smallest (key, id) of any number that are offered; of one id only the smallest key."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[tuple[float, str, int]] = []
        self._worst = np.inf
        self._rows = 0

    def offer(self, keys_N: NDArray[np.float64], ids: Sequence[str]) -> None:
        for i in np.flatnonzero(keys_N <= self._worst).tolist():
            self._held.append((float(keys_N[i]), ids[i], self._rows + i))
        self._rows += len(keys_N)
        if len(self._held) >= 2 * self._count:
            self._held = self.sorted()
            self._worst = self._held[-1][0] if len(self._held) == self._count else np.inf

    def sorted(self) -> list[tuple[float, str, int]]:
        first: dict[str, tuple[float, str, int]] = {}
        for one in sorted(self._held):
            first.setdefault(one[1], one)
        return list(islice(first.values(), self._count))
