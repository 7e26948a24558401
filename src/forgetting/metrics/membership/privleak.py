"""MUSE's privacy leakage: how far the AUC of a membership score lies from the retrained model's, with its noise.

Source: Shi et al. 2024, MUSE (https://arxiv.org/abs/2407.06460), section 3.1.3:

    privleak = 100 · (AUC - AUC_retrained) / AUC_retrained,

the AUC of holdout texts against forgotten ones, counted the other way round than elsewhere here: 1 where every
forgotten text looks less seen than every holdout text. 0: like the retrained model. Below: still a member, -100 at
most. Above: less seen than unseen text, without a bound, and it explodes as the retrained AUC nears 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from forgetting.metrics.statistics import RESAMPLES, Estimate, Floats, percentile_interval, seed_of

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores of one model, higher where a text looks less seen; the same texts in the same order for every model."""

    forget: Sequence[float]
    holdout: Sequence[float]


def unseen_auc(forget_N: Floats, holdout_M: Floats) -> float:
    """The chance that a forgotten text looks less seen than a holdout text, ties counted half."""
    ranks = rankdata(np.concatenate([forget_N, holdout_M]))[: len(forget_N)]
    return float((ranks.sum() - len(forget_N) * (len(forget_N) + 1) / 2) / (len(forget_N) * len(holdout_M)))


def relative_auc(auc: float, retrained: float) -> float | None:
    """100 · (auc - retrained) / retrained; None if the retrained AUC is 0."""
    return 100 * (auc - retrained) / retrained if retrained else None


def privleak(model: Scored, retrained: Scored | None, *, key: str, resamples: int = RESAMPLES) -> Estimate:
    """privleak, percent, with the interval of 95% that resampling the texts gives.

    Both models are resampled with the same texts, forgotten and holdout ones apart, so that what both share cancels.
    Without a retrained model the AUC is compared with ½, as open-unlearning does.

    Args:
        model: the model's scores.
        retrained: those of a model that never saw the forget set.
        key: seeds the resampling.
        resamples: how many.

    Raises:
        ValueError: the models have scores of different numbers of texts.
    """
    texts = len(model.forget), len(model.holdout)
    if retrained is not None and (len(retrained.forget), len(retrained.holdout)) != texts:
        raise ValueError("both models need scores of the same texts")
    if not all(texts):
        return Estimate(None, sum(texts), reason="there are no texts of one kind")
    ours = np.asarray(model.forget, dtype=float), np.asarray(model.holdout, dtype=float)
    theirs = None if retrained is None else (np.asarray(retrained.forget, float), np.asarray(retrained.holdout, float))
    value = relative_auc(unseen_auc(*ours), 0.5 if theirs is None else unseen_auc(*theirs))
    if value is None:
        return Estimate(None, sum(texts), reason="the AUC of the retrained model is 0")
    if min(texts) < 2:
        return Estimate(value, sum(texts))
    rng, drawn = np.random.default_rng(seed_of(key)), []
    for _ in range(resamples):
        forget_N, holdout_M = (rng.integers(0, n, n) for n in texts)
        other = 0.5 if theirs is None else unseen_auc(theirs[0][forget_N], theirs[1][holdout_M])
        found = relative_auc(unseen_auc(ours[0][forget_N], ours[1][holdout_M]), other)
        drawn.append(np.nan if found is None else found)
    if np.isnan(drawn).any() or np.ptp(drawn) < _ROUNDING:  # none varies: that would claim certainty
        return Estimate(value, sum(texts))
    return Estimate(value, sum(texts), *percentile_interval(np.array(drawn), min(texts)))
