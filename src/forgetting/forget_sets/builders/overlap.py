"""Overlap of a forget set with other data: with the domain, or with evaluation data.

A forget set that holds a benchmark's items makes a model worse at the very thing that is measured; Forget-to-Focus's
BC-Mixed, which mixes in HumanEval's test items, does so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.example import Example
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

    Both are exact: the Jaccard index |A ∩ B| / |A ∪ B| is computed for every pair that shares a shingle. Memory: the
    shingles of `forget`.
    """
    exact = [e.id for e in overlap(forget, other)]
    found = set(exact)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    sizes = []
    for index, example in enumerate(forget):
        own = shingles(example)
        sizes.append(len(own))
        for shingle in own:
            holders[shingle].append(index)
    close: set[int] = set()
    for example in other:
        theirs = shingles(example)
        shared = Counter(index for shingle in theirs for index in holders.get(shingle, ()))
        close |= {i for i, n in shared.items() if n / (sizes[i] + len(theirs) - n) >= near}
    return Overlap(tuple(exact), tuple(e.id for i, e in enumerate(forget) if i in close and e.id not in found))
