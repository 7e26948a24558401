"""How many examples of a corpus each source gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forgetting.core.errors import RecipeError
from forgetting.data.source import Source


def wanted(size: int | None, sources: Sequence[tuple[str, Source]]) -> tuple[list[int | None], int | None]:
    """How many examples each source gives by its count or share, and how many those with neither give together.

    Counts are taken from the size first. Shares divide what is left: where sources with neither share nor count take
    the rest, a share is a part of what is left, else the shares are scaled to a sum of 1. None: all that it has.

    Args:
        size: of the corpus.
        sources: with what each is called.

    Raises:
        RecipeError: shares without a size, or shares and counts that do not fit it.
    """
    counts = sum(source.count or 0 for _, source in sources)
    shares = {i: source.share for i, (_, source) in enumerate(sources) if source.share is not None}
    plain = [label for label, source in sources if source.share is None and source.count is None]
    asked = [source.count for _, source in sources]
    if size is None:
        if shares:
            label = sources[min(shares)][0]
            raise RecipeError(f"{label}: has a share, but the corpus has no size to share; write corpus.size=…")
        return asked, None
    left = size - counts
    total = sum(shares.values())
    if left < 0 or (left == 0 and (shares or plain)) or (left > 0 and not shares and not plain):
        raise RecipeError(f"corpus.size is {size}, but the counts add up to {counts}; change one of them")
    if plain and total >= 1:
        raise RecipeError(
            f"{plain[0]}: has neither share nor count, and the other sources' shares add up to {total:g}, which leaves "
            "nothing for it; give it a share"
        )
    for i, count in zip(shares, _divided(left, [s if plain else s / total for s in shares.values()]), strict=True):
        if count == 0:
            raise RecipeError(f"{sources[i][0]}: its share of {left} examples is less than one; raise it")
        asked[i] = count
    return asked, left - sum(asked[i] or 0 for i in shares) if plain else None


def _divided(size: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in the ratio of the shares that add up to the rounded total; largest remainders are rounded up."""
    exact = size * np.array(shares)
    counts = np.floor(exact + 1e-9).astype(int)
    missing = round(exact.sum()) - counts.sum()
    counts[np.argsort(-(exact - counts), kind="stable")[:missing]] += 1
    return [int(n) for n in counts]
