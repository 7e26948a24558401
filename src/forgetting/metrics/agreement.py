"""How far two judgements of the same facts agree beyond chance, and how well one ranks the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from forgetting.metrics.statistics import (
    RESAMPLES,
    Estimate,
    Floats,
    by_cluster,
    percentile_interval,
    resampled_means,
    seed_of,
)


def kappa(first: Sequence[bool], second: Sequence[bool], clusters: Sequence[str], *, key: str) -> Estimate:
    """Cohen's κ = (p_o - p_e) / (1 - p_e) of two yes-or-no judgements, bootstrapped over clusters.

    p_o is the share on which both agree, p_e the share on which they would by chance, given how often each says yes.
    Where both say always the same, κ is not defined. Source: Cohen (1960).
    """
    if not first:
        return Estimate(None, 0, reason="nothing was judged by both")
    pairs = list(zip(first, second, strict=True))
    columns = (
        [float(a and b) for a, b in pairs],
        [float(a) for a, _ in pairs],
        [float(b) for _, b in pairs],
    )
    tables = [by_cluster(column, clusters) for column in columns]
    sums_KC, counts_KC = (np.stack([table[i] for table in tables]) for i in (0, 1))
    value = float(_kappa(sums_KC.sum(axis=1) / counts_KC.sum(axis=1)))
    if not np.isfinite(value):
        return Estimate(None, len(pairs), reason="both say the same of every fact, as they would by chance")
    return _interval(value, len(pairs), _kappa(resampled_means(sums_KC, counts_KC, key=key).T), sums_KC.shape[1])


def auc(is_positive: Sequence[bool], scores: Sequence[float], clusters: Sequence[str], *, key: str) -> Estimate:
    """The probability that a positive has a higher score than a negative, ties half, bootstrapped over clusters."""
    labels_N, scores_N = np.asarray(is_positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    if labels_N.all() or not labels_N.any():
        return Estimate(None, len(labels_N), reason="all facts are of one kind")
    value = float(roc_auc_score(labels_N, scores_N))
    names = sorted(set(clusters))
    members = [np.flatnonzero(np.asarray(clusters) == name) for name in names]
    rng, drawn = np.random.default_rng(seed_of(key)), []
    for _ in range(RESAMPLES):
        chosen_N = np.concatenate([members[n] for n in rng.integers(0, len(names), size=len(names))])
        drawn.append(_auc(labels_N[chosen_N], scores_N[chosen_N]))
    fewest = min(sum(bool((labels_N[own] == kind).any()) for own in members) for kind in (True, False))
    return _interval(value, len(labels_N), np.array(drawn), fewest)


def _auc(labels_N: np.ndarray, scores_N: Floats) -> float:
    """By counts of the few different scores: a resample is scored faster than by sorting all of it."""
    _, place_N = np.unique(scores_N, return_inverse=True)
    positive, negative = (np.bincount(place_N[of], minlength=place_N.max() + 1) for of in (labels_N, ~labels_N))
    pairs = int(positive.sum()) * int(negative.sum())
    return float(positive @ (negative.cumsum() - negative / 2) / pairs) if pairs else float("nan")


def _kappa(means_K: Floats) -> Floats:
    both, first, second = means_K
    agreed, chance = 1 + 2 * both - first - second, first * second + (1 - first) * (1 - second)
    with np.errstate(invalid="ignore", divide="ignore"):
        # Rounded: means of equal judgements otherwise give 1.000000000000004, and an interval around it.
        return np.where(1 - chance > 1e-12, np.round((agreed - chance) / (1 - chance), 12) + 0.0, np.nan)


def _interval(value: float, count: int, drawn_B: Floats, num_clusters: int) -> Estimate:
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if num_clusters < 2 or not len(drawn_B) or not np.ptp(drawn_B):
        return Estimate(value, count)
    return Estimate(value, count, *percentile_interval(drawn_B, num_clusters))
