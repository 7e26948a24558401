"""How well a score finds labelled tokens: noise, for instance, whose place is known because it was put there.

Tokens of one example are not independent, so every interval is clustered by example. Nothing is resampled: the sum of
the clusters' influences has a variance in closed form (DeLong et al. 1988; for clusters Obuchowski 1997), where a
bootstrap sorts hundreds of times. Intervals are normal, at 95%, and too narrow below about 20 clusters.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from forgetting.core.errors import DataError
from forgetting.metrics.proportions import LEVEL
from forgetting.metrics.statistics import Estimate, Floats

_Z = float(ndtri(0.5 + LEVEL / 2))


class Found(NamedTuple):
    """What a chosen set of tokens holds, beside what a set drawn at random would."""

    precision: Estimate
    """Of the chosen tokens, the share that is labelled."""
    recall: Estimate
    """Of the labelled tokens, the share that is chosen."""
    labelled: Estimate
    """Of all tokens, the share that is labelled: the precision of a random choice."""
    chosen: Estimate
    """Of all tokens, the share that is chosen: the recall of a random choice."""


def auc(scores: ArrayLike, labels: ArrayLike, clusters: ArrayLike) -> Estimate:
    """The chance that a labelled token scores higher than another token, ties counted half: area under the ROC curve.

    The interval is built on the logit scale, so that it stays within (0, 1). At exactly 0 or 1 there is none.

    Args:
        scores: `[N]`, one per token; higher should mean labelled (of Forgetting SFT's quality Q: -Q).
        labels: `[N]`, true where a token is what should be found.
        clusters: `[N]`, whole numbers or names: which example a token belongs to.

    Raises:
        DataError: arrays of different lengths, or a score that is NaN.
    """
    labels_N, index_N, num_clusters = _checked(labels, clusters, scores)
    missing = _one_sided(labels_N)
    if missing:
        return Estimate(None, len(labels_N), reason=missing)
    value, influence_C = _auc(np.asarray(scores, dtype=np.float64), labels_N, index_N, num_clusters)
    error = _standard_error(influence_C)
    if error is None or not 0 < value < 1:
        return Estimate(value, len(labels_N))
    logit, width = math.log(value / (1 - value)), _Z * error / (value * (1 - value))
    low, high = (0.5 + 0.5 * math.tanh((logit + side * width) / 2) for side in (-1, 1))
    return Estimate(value, len(labels_N), low, high)


def auc_difference(scores: ArrayLike, others: ArrayLike, labels: ArrayLike, clusters: ArrayLike) -> Estimate:
    """The AUC of `scores` less that of `others` on the same tokens, paired: above 0, `scores` finds them better.

    Raises:
        DataError: arrays of different lengths, or a score that is NaN.
    """
    labels_N, index_N, num_clusters = _checked(labels, clusters, scores, others)
    missing = _one_sided(labels_N)
    if missing:
        return Estimate(None, len(labels_N), reason=missing)
    first, other = (
        _auc(np.asarray(each, dtype=np.float64), labels_N, index_N, num_clusters) for each in (scores, others)
    )
    return _normal(first[0] - other[0], len(labels_N), first[1] - other[1])


def average_precision(scores: ArrayLike, labels: ArrayLike) -> Estimate:
    """The mean, over the labelled tokens, of the precision of all tokens that score at least as high; no interval.

    Of an uninformative score it is about the share of labelled tokens. See
    `sklearn.metrics.average_precision_score`.

    Raises:
        DataError: arrays of different lengths, or a score that is NaN.
    """
    from sklearn.metrics import average_precision_score

    labels_N, _, _ = _checked(labels, np.zeros(np.shape(labels), dtype=np.int64), scores)
    if not labels_N.any():
        return Estimate(None, len(labels_N), reason="no token is labelled, so there is nothing to find")
    ranks_N = rankdata(np.asarray(scores, dtype=np.float64), method="dense")  # infinite scores are fine as ranks
    return Estimate(float(average_precision_score(labels_N, ranks_N)), len(labels_N))


def found(chosen: ArrayLike, labels: ArrayLike, clusters: ArrayLike) -> Found:
    """Precision and recall of a chosen set of tokens (the negatives of a selection), with clustered intervals.

    Each is a ratio of sums over clusters, its variance that of the linearised ratio.

    Args:
        chosen: `[N]`, true where a token was chosen.
        labels: `[N]`, true where it should have been.
        clusters: `[N]`: which example a token belongs to.

    Raises:
        DataError: arrays of different lengths.
    """
    labels_N, index_N, num_clusters = _checked(labels, clusters, chosen)
    chosen_N = np.asarray(chosen, dtype=bool)
    both, picked, wanted, every = (
        _sums(each_N, index_N, num_clusters)
        for each_N in (chosen_N & labels_N, chosen_N, labels_N, np.ones(len(labels_N)))
    )
    return Found(
        precision=_ratio(both, picked, "no token is chosen"),
        recall=_ratio(both, wanted, "no token is labelled"),
        labelled=_ratio(wanted, every, "there are no tokens"),
        chosen=_ratio(picked, every, "there are no tokens"),
    )


def _auc(
    scores_N: Floats, labels_N: NDArray[np.bool_], index_N: NDArray[np.intp], num_clusters: int
) -> tuple[float, Floats]:
    """The AUC, and the influence of each cluster on it, `[C]`.

    A token's share is (what it beats of the other class, as a share, less the AUC) / tokens of its own class.
    """
    rank_N = rankdata(scores_N)
    beaten_N = np.empty(len(scores_N))
    for side in (labels_N, ~labels_N):
        beaten_N[side] = (rank_N[side] - rankdata(scores_N[side])) / (~side).sum()
    value = float(beaten_N[labels_N].mean())
    share_N = np.where(labels_N, (beaten_N - value) / labels_N.sum(), (1 - beaten_N - value) / (~labels_N).sum())
    return value, _sums(share_N, index_N, num_clusters)


def _sums(values_N: ArrayLike, index_N: NDArray[np.intp], num_clusters: int) -> Floats:
    """Sums of values by cluster, `[C]`."""
    return np.bincount(index_N, weights=values_N, minlength=num_clusters).astype(np.float64)


def _ratio(sums_C: Floats, weights_C: Floats, absent: str) -> Estimate:
    count = round(float(weights_C.sum()))
    if not count:
        return Estimate(None, 0, reason=absent)
    value = float(sums_C.sum()) / count
    estimate = _normal(value, count, (sums_C - value * weights_C) / count)
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(value, count, max(0.0, estimate.low), min(1.0, estimate.high))


def _normal(value: float, count: int, influence_C: Floats) -> Estimate:
    error = _standard_error(influence_C)
    if error is None:
        return Estimate(value, count)
    return Estimate(value, count, value - _Z * error, value + _Z * error)


def _standard_error(influence_C: Floats) -> float | None:
    """None for fewer than two clusters, and where none has an influence: that would claim certainty."""
    num_clusters = len(influence_C)
    if num_clusters < 2 or np.allclose(influence_C, 0.0, atol=1e-12):
        return None
    return math.sqrt(num_clusters / (num_clusters - 1) * float(influence_C @ influence_C))


def _checked(
    labels: ArrayLike, clusters: ArrayLike, *scores: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.intp], int]:
    """Labels, the index of each token's cluster, and how many clusters there are."""
    labels_N = np.asarray(labels, dtype=bool)
    of_cluster: NDArray[Any] = np.asarray(clusters)
    lengths = {len(labels_N), len(of_cluster), *(len(np.asarray(each)) for each in scores)}
    if len(lengths) > 1:
        raise DataError(f"scores, labels and clusters have {sorted(lengths)} entries; give one of each per token")
    for each in scores:
        unknown = int(np.isnan(np.asarray(each, dtype=np.float64)).sum())
        if unknown:
            raise DataError(f"{unknown} of {len(labels_N)} scores are NaN; leave out tokens that could not be scored")
    names, index_N = np.unique(of_cluster, return_inverse=True)
    return labels_N, index_N, len(names)


def _one_sided(labels_N: NDArray[np.bool_]) -> str:
    """The reason why nothing can be told apart."""
    if not labels_N.any():
        return "no token is labelled, so there is nothing to find"
    return "every token is labelled, so there is nothing to tell them from" if labels_N.all() else ""
