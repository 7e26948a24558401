"""How far vectors moved: cosine, ℓ2 distance, and ℓ2 distance as a share of the first one's length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forgetting.metrics.statistics import Floats


def cosines(before_ND: Floats, after_ND: Floats) -> Floats:
    """The cosine of the angle between each pair of vectors, `[…]` of `[…, D]`; NaN where one of them is 0."""
    lengths = np.linalg.norm(before_ND, axis=-1) * np.linalg.norm(after_ND, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (before_ND * after_ND).sum(axis=-1) / lengths
    return np.clip(found, -1.0, 1.0)


def distances(before_ND: Floats, after_ND: Floats) -> Floats:
    """‖after − before‖₂ of each pair, `[…]` of `[…, D]`, in units of the states."""
    found: Floats = np.linalg.norm(after_ND - before_ND, axis=-1)
    return found


def relative_distances(before_ND: Floats, after_ND: Floats) -> Floats:
    """‖after − before‖₂ / ‖before‖₂ of each pair, `[…]` of `[…, D]`; NaN where `before` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = distances(before_ND, after_ND) / np.linalg.norm(before_ND, axis=-1)
    return np.where(np.isfinite(found), found, np.nan)


DISTANCES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "cosine": cosines,
    "distance": distances,
    "relative_distance": relative_distances,
}
"""By the name of the measure."""
