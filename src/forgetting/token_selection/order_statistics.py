"""Exact order statistics of numbers that need not fit in memory: two passes and 65,536 counters.

A 32-bit key is counted by its upper half first. The key of a rank lies in one of those bins; a second pass counts that
bin by the lower half. Memory does not grow with the number of keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint32]
Stream = Callable[[], Iterable[Keys]]
"""Returns the same keys, in parts of any size, each time it is called."""

_HALF, _BINS = 16, 2**16


@dataclass(frozen=True, slots=True)
class OrderStatistic:
    """The key of one rank, how many keys are smaller, and how many are equal (it is one of them)."""

    key: int
    below: int
    equal: int


def keys_of(values_N: NDArray[np.float32]) -> Keys:
    """uint32 keys in the order of the numbers, `[N]`; −0 and 0 have one key. NaN has no position in that order."""
    bits_N = (values_N + np.float32(0)).view(np.uint32)  # −0 + 0 is 0
    return np.where(bits_N >> 31, ~bits_N, bits_N | np.uint32(1 << 31))


def value_of(key: int) -> float:
    """The number with this key."""
    bits = key ^ (1 << 31) if key >> 31 else key ^ 0xFFFF_FFFF
    return float(np.uint32(bits).view(np.float32))


def order_statistics(stream: Stream, ranks: Sequence[int]) -> list[OrderStatistic]:
    """The keys at `ranks` of the sorted keys; rank 0 is the smallest.

    Raises:
        IndexError: there are fewer keys.
    """
    upper = np.zeros(_BINS, dtype=np.int64)
    for keys_N in stream():
        upper += _counted(keys_N >> _HALF)
    ends = np.cumsum(upper)
    if any(not 0 <= rank < ends[-1] for rank in ranks):
        raise IndexError(f"ranks {list(ranks)} of {ends[-1]} keys")
    bins = [int(np.searchsorted(ends, rank, side="right")) for rank in ranks]
    lower = {b: np.zeros(_BINS, dtype=np.int64) for b in bins}
    for keys_N in stream():
        for b, counts in lower.items():
            counts += _counted(keys_N[keys_N >> _HALF == b] & (_BINS - 1))
    return [_found(rank, b, int(ends[b] - upper[b]), lower[b]) for rank, b in zip(ranks, bins, strict=True)]


def _counted(halves_N: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(halves_N, minlength=_BINS)


def _found(rank: int, upper_half: int, before: int, counts: NDArray[np.int64]) -> OrderStatistic:
    """The rank's key within its bin; `before` keys lie below the bin."""
    ends = np.cumsum(counts)
    lower_half = int(np.searchsorted(ends, rank - before, side="right"))
    equal = int(counts[lower_half])
    return OrderStatistic(upper_half << _HALF | lower_half, before + int(ends[lower_half]) - equal, equal)
