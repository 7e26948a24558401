"""How far the chosen, the rest and the domain lie apart: their scores counted in bins, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BIN, _BINS = 0.005, 400
"""Shares lie in [0, 1], cosine distances in [0, 2]."""
_DRAWN = 50
"""Bins of a figure at most."""


class Tally:
    """Numbers in [0, 2], counted in bins of 0.005; the last one holds 2 too."""

    def __init__(self, values: NDArray[np.float64] | None = None) -> None:
        self.counts = np.zeros(_BINS, dtype=np.int64)
        if values is not None:
            self.add(values)

    def add(self, values: NDArray[np.float64]) -> None:
        """Counts `[N]` more of them."""
        self.counts += np.bincount(_bins(values), minlength=_BINS)

    def without(self, values: NDArray[np.float64]) -> Tally:
        """The tally without these values, which it had counted."""
        left = Tally()
        left.counts = self.counts - Tally(values).counts
        return left


@dataclass(frozen=True, slots=True)
class Separation:
    """Histograms of one measure over common bins."""

    measure: str
    edges: tuple[float, ...]
    counts: Mapping[str, tuple[int, ...]]
    """By group, one number per bin."""


def separation(measure: str, groups: Mapping[str, Tally]) -> Separation:
    """The histograms over the range in which any group has a value, in at most 50 bins of a multiple of 0.005.

    A group without a value is left out.
    """
    kept = {name: tally.counts for name, tally in groups.items() if tally.counts.any()}
    held = np.flatnonzero(np.sum(list(kept.values()), axis=0))
    first, last = int(held[0]), int(held[-1])
    merged = -(-(last - first + 1) // _DRAWN)
    bins = -(-(last - first + 1) // merged)
    padded = {name: np.pad(counts, (0, merged))[first : first + bins * merged] for name, counts in kept.items()}
    return Separation(
        measure=measure,
        edges=tuple(round((first + i * merged) * _BIN, 6) for i in range(bins + 1)),
        counts={name: tuple(part.reshape(bins, merged).sum(axis=1).tolist()) for name, part in padded.items()},
    )


def _bins(values: NDArray[np.float64]) -> NDArray[np.intp]:
    # A value on an edge belongs above it, however it was rounded.
    return np.clip(np.floor(values / _BIN + 1e-9), 0, _BINS - 1).astype(np.intp)
