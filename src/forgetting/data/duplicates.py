"""Exact and near duplicates among examples.

Exact: prompt, response and earlier turns are equal but for case and spaces. Near: the Jaccard index of the two sets of
word 3-shingles (|A ∩ B| / |A ∪ B|) is at or above a bound. Candidates for near duplicates are found by MinHash and
locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998), then the index itself is computed: nothing is called a
near duplicate that is not one, and one at the bound is missed with a probability of about 0.002 at most.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forgetting.core.example import Example
from forgetting.data.examples import said
from forgetting.data.words import pieces

Kind = Literal["exact", "near"]
SHINGLE = 3
"""Words of a shingle. A word is the text between spaces; where a script puts none, a character."""
_PERMUTATIONS = 192
_MISSED = 2e-3
_DEVIATIONS = 4
_CACHED = 4096


def shingles(example: Example) -> frozenset[str]:
    """The runs of three words of the earlier turns, the prompt and the response, case ignored.

    A text of fewer words is one shingle, so that it is a near duplicate only of a text with the same words.
    """
    words = pieces(said(example))
    last = max(len(words) - SHINGLE, 0)
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(last + 1))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """|A ∩ B| / |A ∪ B| of two sets that are not both empty."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


class Seen:
    """The examples met so far that repeat none before them.

    Memory: 16 bytes an example, and with a bound for near duplicates about 10 kB; the texts are not copied.
    """

    def __init__(self, near: float | None) -> None:
        self._exact: set[bytes] = set()
        self._near = _Near(near) if near is not None else None

    def meet(self, example: Example) -> Kind | None:
        """Which kind of duplicate it is of one met before; if of none, it is remembered."""
        digest = hashlib.blake2b(said(example).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._exact:
            return "exact"
        if self._near is not None and self._near.meet(example):
            return "near"
        self._exact.add(digest)
        return None


class _Near:
    def __init__(self, bound: float) -> None:
        from datasketch import MinHash, MinHashLSH

        self._bound = bound
        self._blank = MinHash(num_perm=_PERMUTATIONS, seed=1)
        self._index = MinHashLSH(num_perm=_PERMUTATIONS, params=bands(bound))
        self._kept: list[Example] = []
        self._sizes = bytearray()
        self._signatures = bytearray()
        self._shingles = lru_cache(maxsize=_CACHED)(lambda index: shingles(self._kept[index]))

    def meet(self, example: Example) -> bool:
        own = shingles(example)
        sketch = self._blank.copy()
        sketch.update_batch([s.encode("utf-8", "surrogatepass") for s in own])
        candidates = self._likely(self._index.query(sketch), sketch.hashvalues, len(own))
        if any(jaccard(own, self._shingles(index)) >= self._bound for index in candidates):
            return True
        self._index.insert(len(self._kept), sketch, check_duplication=False)
        self._kept.append(example)
        self._sizes += np.int64(len(own)).tobytes()
        self._signatures += sketch.hashvalues.tobytes()
        return False

    def _likely(self, found: list[int], signature: NDArray[np.uint32], size: int) -> list[int]:
        """Those that can reach the bound by their size and by the estimate of the index, likeliest first.

        The sets of examples made from one template share many hash values; without this each would be compared in full.
        """
        candidates = np.array(found, dtype=np.intp)
        sizes = np.frombuffer(self._sizes, dtype=np.int64)[candidates]
        candidates = candidates[np.minimum(sizes, size) / np.maximum(sizes, size) >= self._bound]
        signatures = np.frombuffer(self._signatures, dtype=signature.dtype).reshape(-1, _PERMUTATIONS)
        estimates = np.count_nonzero(signatures[candidates] == signature, axis=1) / _PERMUTATIONS
        deviation = np.sqrt(self._bound * (1 - self._bound) / _PERMUTATIONS)
        likely = estimates >= self._bound - _DEVIATIONS * deviation
        order = np.argsort(-estimates[likely], kind="stable")
        return [int(i) for i in candidates[likely][order]]


def bands(bound: float) -> tuple[int, int]:
    """(bands, rows of each): the longest bands that miss a pair at the bound with a probability below 0.002."""
    fitting = [
        rows for rows in range(1, _PERMUTATIONS // 2 + 1) if (1 - bound**rows) ** (_PERMUTATIONS // rows) < _MISSED
    ]
    rows = max(fitting, default=1)
    return _PERMUTATIONS // rows, rows
