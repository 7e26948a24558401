"""Whether confidence is justified: calibration error, Brier score, reliability, risk against coverage.

All functions take probabilities of the options of N questions, and which option is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetting.metrics.statistics import Floats

BINS = 15
"""Bins of equal width (Guo et al. 2017, https://arxiv.org/abs/1706.04599); Forget-to-Focus, appendix A.6."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of N questions, one number each."""

    confidence_N: Floats
    """The probability of the likeliest option."""
    correct_N: Floats
    """1 where it is the right one, else 0. Of equally likely options the first is chosen: shuffle them beforehand."""
    nll_N: Floats
    """-log p of the right option, nats; infinite where it has probability 0."""
    brier_N: Floats
    """Σ over options of (p - 1[right])², 0 to 2."""
    options_N: Floats
    """How many options there were."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The questions whose confidence lies above `low` and is at most `high`."""

    low: float
    high: float
    count: int
    confidence: float | None
    """Their mean confidence; None: no question."""
    accuracy: float | None
    right: int


def judged(probabilities: Sequence[Sequence[float]], right: Sequence[int]) -> Judged:
    """From each question's probabilities and the place of its right option.

    Raises:
        ValueError: probabilities that do not sum to 1, or a place where there is no option.
    """
    rows = [np.asarray(p, dtype=np.float64) for p in probabilities]
    for number, (p, place) in enumerate(zip(rows, right, strict=True)):
        if not 0 <= place < len(p) or abs(float(p.sum()) - 1) > 1e-6 or (p < 0).any():
            raise ValueError(f"question {number}: {len(p)} probabilities, sum {p.sum():.6g}, right option {place}")
    with np.errstate(divide="ignore"):
        nll = [-float(np.log(p[place])) for p, place in zip(rows, right, strict=True)]
    return Judged(
        confidence_N=np.array([p.max() for p in rows]),
        correct_N=np.array([float(p.argmax() == place) for p, place in zip(rows, right, strict=True)]),
        nll_N=np.array(nll),
        brier_N=np.array([float((p**2).sum() - 2 * p[place] + 1) for p, place in zip(rows, right, strict=True)]),
        options_N=np.array([float(len(p)) for p in rows]),
    )


def reliability(judged: Judged, bins: int = BINS) -> list[Bin]:
    """Bins of equal width from 0 to 1, closed on the right (a confidence of 0 is in the first)."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    place_N = np.clip(np.searchsorted(edges, judged.confidence_N, side="left") - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        here_N: NDArray[np.bool_] = place_N == number
        count, right = int(here_N.sum()), int(judged.correct_N[here_N].sum())
        confidence = float(judged.confidence_N[here_N].mean()) if count else None
        found.append(
            Bin(
                float(edges[number]),
                float(edges[number + 1]),
                count,
                confidence,
                right / count if count else None,
                right,
            )
        )
    return found


def calibration_error(judged: Judged, bins: int = BINS) -> float:
    """ECE: the mean over questions of |accuracy - confidence| of their bin; 0 to 1. At least one question."""
    gaps = [
        b.count * abs(b.accuracy - b.confidence)
        for b in reliability(judged, bins)
        if b.accuracy is not None and b.confidence is not None
    ]
    return sum(gaps) / len(judged.confidence_N)


def risks(judged: Judged) -> Floats:
    """The expected share of wrong answers among the k most confident questions, for k = 1 … N.

    Equally confident questions are in random order, and the mean over their orders is taken.
    """
    order = np.argsort(-judged.confidence_N, kind="stable")
    confidence_N, wrong_N = judged.confidence_N[order], 1.0 - judged.correct_N[order]
    _, place_N, count_T = np.unique(-confidence_N, return_inverse=True, return_counts=True)
    share_T = np.bincount(place_N, weights=wrong_N) / count_T
    return np.cumsum(share_T[place_N]) / np.arange(1, len(wrong_N) + 1)


def area_under_risks(judged: Judged) -> float:
    """AURC: the mean of `risks` over all coverages (Geifman et al. 2019, https://arxiv.org/abs/1805.08206); 0 to 1."""
    return float(risks(judged).mean())
