"""Which of many features changed between two models: random exchange of start and after, and false discoveries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from forgetting.metrics.statistics import FEWEST

FLIPS = 20_000
_CHUNK = 500
_DISCOVERIES = 0.05


def flip_test(changes_CF: NDArray[np.floating], *, seed: int, flips: int = FLIPS) -> NDArray[np.float64]:
    """Two-sided p of each column's sum under random signs of its rows, (1 + as large) / (1 + flips); NaN: not tested.

    Not tested are columns with fewer than 6 rows other than 0, which cannot be told from chance.

    Args:
        changes_CF: change of each source example and feature.
        seed: of the signs, which are the same for all features.
        flips: number of draws.
    """
    tested_F = (changes_CF != 0).sum(0) >= FEWEST
    some_CG = changes_CF[:, tested_F].astype(np.float64)
    sums_G = np.abs(some_CG.sum(0))
    rng = np.random.default_rng(seed)
    at_least_G = np.zeros(some_CG.shape[1])
    for start in range(0, flips, _CHUNK):
        signs_BC = rng.integers(0, 2, size=(min(_CHUNK, flips - start), len(some_CG))) * 2.0 - 1
        at_least_G += (np.abs(signs_BC @ some_CG) >= sums_G - 1e-9).sum(0)
    found_F = np.full(changes_CF.shape[1], np.nan)
    found_F[tested_F] = (1 + at_least_G) / (1 + flips)
    return found_F


def discoveries(p_F: NDArray[np.float64], rate: float = _DISCOVERIES) -> NDArray[np.bool_]:
    """Which of those tested (not NaN) are changes, at this rate of false discoveries."""
    tested_F = ~np.isnan(p_F)
    found_F = np.zeros(len(p_F), dtype=bool)
    if tested_F.any():
        found_F[tested_F] = false_discovery_control(p_F[tested_F], method="bh") <= rate
    return found_F
