"""The metrics that a user's own data and the lab get unless they ask for others."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.metrics.breakdown import by_kind, by_popularity
from forgetting.metrics.forget_quality import forget_quality
from forgetting.metrics.likelihood import probability
from forgetting.metrics.metric import Metric
from forgetting.metrics.per_example import mean, toward_oracle
from forgetting.metrics.text import exact_match, rouge_l_f1, rouge_l_recall
from forgetting.metrics.truth_ratio import truth_ratio_forget, truth_ratio_utility
from forgetting.metrics.utility import Part, harmonic_mean


def standard_metrics(
    forget_splits: Sequence[str] = ("forget",),
    retain_splits: Sequence[str] = ("retain",),
    utility_splits: Sequence[str] = ("utility",),
) -> tuple[Metric, ...]:
    """Probability, ROUGE-L, exact match, truth ratio, forget quality, model utility; by popularity and by kind.

    On forget splits the goal is the oracle's value, or without one to go down (up for the truth ratio, where 1 means
    that right and wrong answers look alike); on the others it is up. Probability and ROUGE-L recall are broken down by
    popularity, probability and exact match by kind, where records carry them. What the records cannot give is absent
    with its reason.
    """
    kept_splits = (*retain_splits, *utility_splits)
    metrics: list[Metric] = []
    for what in (probability, rouge_l_recall, rouge_l_f1, exact_match):
        forgotten = toward_oracle(mean(what, forget_splits, "down"))
        kept = mean(what, kept_splits, "up")
        metrics += [forgotten, kept]
        if what in (probability, rouge_l_recall):
            metrics += [by_popularity(forgotten), by_popularity(kept)]
        if what in (probability, exact_match):
            metrics += [by_kind(forgotten), by_kind(kept)]
    metrics += [
        toward_oracle(mean(truth_ratio_forget(), forget_splits, "up")),
        mean(truth_ratio_utility(), kept_splits, "up"),
        forget_quality(forget_splits),
    ]
    if kept_splits:
        metrics.append(_utility(kept_splits))
    return tuple(metrics)


def _utility(splits: Sequence[str]) -> Metric:
    """Of values that any question with an answer gives; TOFU's nine (`tofu_model_utility`) need wrong answers too."""
    parts = [Part(split, what) for split in splits for what in (probability, rouge_l_recall)]
    meaning = (
        f"What should have been kept, in one number: harmonic mean of probability and ROUGE-L recall on "
        f"{', '.join(splits)} (not TOFU's nine parts). 1 = all perfect, 0 = one of them is lost."
    )
    return harmonic_mean("model_utility", parts, meaning)
