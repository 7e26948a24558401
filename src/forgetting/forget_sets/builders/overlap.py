"""Overlap of a forget set with other data: with the domain, or with evaluation data.

A forget set that holds a benchmark's items makes a model worse at the very thing that is measured; Forget-to-Focus's
BC-Mixed, which mixes in HumanEval's test items, does so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetting.core.example import Example
from forgetting.data.copies import NearSets
from forgetting.data.duplicates import shingles
from forgetting.data.examples import overlap

NEAR = 0.8
"""Two examples repeat each other nearly from this Jaccard index of their word 3-shingles on."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The ids of forget examples that also occur in other data, in their order."""

    exact: tuple[str, ...]
    """Equal but for case and spaces."""
    near: tuple[str, ...]
    """Not equal, but nearly: `NEAR`."""


def overlap_with(forget: Sequence[Example], other: Sequence[Example], near: float = NEAR) -> Overlap:
    """The examples of `forget` that occur in `other`, exactly or nearly.

    Both are exact: the Jaccard index |A ∩ B| / |A ∪ B| is computed for every pair that can reach the bound. Memory: a
    hash for each shingle of `forget`.
    """
    exact = [e.id for e in overlap(forget, other)]
    found = set(exact)
    sets = NearSets(len(forget), lambda index: _hashes(forget[index]), near)
    close = {index for example in other for index, _ in sets.find(_hashes(example))}
    return Overlap(tuple(exact), tuple(e.id for i, e in enumerate(forget) if i in close and e.id not in found))


def _hashes(example: Example) -> NDArray[np.int64]:
    return np.unique(np.fromiter(map(hash, shingles(example)), dtype=np.int64))
