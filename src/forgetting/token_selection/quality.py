"""The quality Q of a corpus's units (tokens, or whole rows by the mean of their tokens), streamed from scores."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from forgetting.core.errors import DataError, RunError
from forgetting.token_selection.order_statistics import Keys, keys_of, order_statistics, value_of
from forgetting.token_selection.score_files import Floats, ScoredRow, Scores

Level = Literal["token", "sequence"]


@dataclass(frozen=True, slots=True)
class Survey:
    """Statistics of all units' Q, in nats; `above`: how many are above 0."""

    count: int
    above: int
    mean: float
    std: float
    least: float
    greatest: float


def of_rows(rows: Iterable[ScoredRow], level: Level) -> Floats:
    """The units' Q, fp32; at level `sequence`, the mean of each row's tokens; rows without tokens have none."""
    parts = [np.zeros(0, dtype=np.float32)]
    for row in rows:
        quality = row.quality
        if level == "sequence" and len(quality):
            quality = quality.mean(keepdims=True, dtype=np.float64).astype(np.float32)
        parts.append(quality)
    return np.concatenate(parts)


def qualities(scores: Scores, level: Level) -> Iterator[Floats]:
    """Q of all units, part by part."""
    return (part.quality if level == "token" else of_rows(part, level) for part in scores.parts())


def survey_of(scores: Scores, level: Level) -> Survey:
    """One pass over all units.

    Raises:
        RunError: a score is not finite; the row is named.
        DataError: there is no token.
    """
    count = above = 0
    mean = squares = 0.0
    least, greatest = np.inf, -np.inf
    for part in scores.parts():
        if (bad := part.first_not_finite()) is not None:
            raise RunError(
                f"{scores.folder}: row '{bad[0]}': the score of its answer token {bad[1] + 1} is not finite; score "
                "again in a higher precision, or leave the row out"
            )
        quality = (part.quality if level == "token" else of_rows(part, level)).astype(np.float64)
        if not len(quality):
            continue
        here, gap = len(quality), float(quality.mean()) - mean  # Chan et al. 1979: combined moments of parts
        squares += float(quality.var()) * here + gap**2 * count * here / (count + here)
        mean += gap * here / (count + here)
        count += here
        above += int((quality > 0).sum())
        least, greatest = min(least, float(quality.min())), max(greatest, float(quality.max()))
    if not count:
        raise DataError(f"{scores.folder}: no token was scored; the data have no supervised tokens")
    return Survey(count, above, mean, (squares / count) ** 0.5, least, greatest)


def draws(seed: int, key: str, count: int) -> Keys:
    """One uniform 32-bit number for each of a row's units: a function of seed, key and position only."""
    return np.frombuffer(hashlib.shake_128(f"{seed} {key}".encode()).digest(4 * count), dtype="<u4")


def histogram(scores: Scores, level: Level, count: int, bins: int = 60) -> dict[str, Any]:
    """Counts of the `count` units' Q between their 0.5% and 99.5% quantiles, and of those below and above.

    The quantiles are exact: the ⌈0.005·count⌉-th and the ⌈0.995·count⌉-th smallest Q, the first and the last of
    `bins` + 1 evenly spaced `edges`. Each bin includes its left edge, the last one both. If both quantiles are equal,
    the edges extend half a nat to either side.
    """
    ranks = [math.ceil(Fraction(q, 1000) * count) - 1 for q in (5, 995)]
    found = order_statistics(lambda: map(keys_of, qualities(scores, level)), ranks)
    low, high = (value_of(f.key) for f in found)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    counts = np.zeros(bins, dtype=np.int64)
    below = above = 0
    for quality in qualities(scores, level):
        counts += np.histogram(quality.astype(np.float64), bins=edges)[0]
        below += int((quality < low).sum())
        above += int((quality > high).sum())
    return {"edges": edges.tolist(), "counts": counts.tolist(), "below": below, "above": above}
