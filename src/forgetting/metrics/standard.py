"""The metrics that a user's own data and the lab get unless they ask for others."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.declaration import Balance, Declaration, Headline
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
    unseen_splits: Sequence[str] = (),
) -> tuple[Metric, ...]:
    """Probability, ROUGE-L, exact match, truth ratio, forget quality, model utility; by popularity and by kind.

    On forget splits the goal is the oracle's value, or without one to go down (up for the truth ratio, where 1 means
    that right and wrong answers look alike); on unseen text, which nobody should know, there is none; on the others it
    is up. Probability and ROUGE-L recall are broken down by popularity, probability and exact match by kind, where
    records carry them. What the records cannot give is absent with its reason.
    """
    kept_splits = (*retain_splits, *utility_splits)
    metrics: list[Metric] = []
    for what in (probability, rouge_l_recall, rouge_l_f1, exact_match):
        forgotten = toward_oracle(mean(what, forget_splits, "down"))
        kept = mean(what, kept_splits, "up")
        found = [forgotten, kept, *([mean(what, unseen_splits, "none")] if unseen_splits else [])]
        metrics += found
        if what in (probability, rouge_l_recall):
            metrics += map(by_popularity, found)
        if what in (probability, exact_match):
            metrics += map(by_kind, found)
    metrics += [
        toward_oracle(mean(truth_ratio_forget(), forget_splits, "up")),
        mean(truth_ratio_utility(), kept_splits, "up"),
        mean(truth_ratio_forget(), unseen_splits, "none"),
        forget_quality(forget_splits),
    ]
    if kept_splits:
        metrics.append(_utility(kept_splits))
    return tuple(metrics)


KNOWING = ("probability", "exact_match", "rouge_l_recall")
"""Measures that are higher the more a model knows. Probability comes first: it never saturates at 0, so that
over-forgetting shows in it."""
_MATCHING = ("exact_match", "rouge_l_recall")


def standard_declaration(
    forget: Sequence[str] = ("forget",),
    retain: Sequence[str] = ("retain",),
    utility: Sequence[str] = ("utility",),
    unseen: Sequence[str] = (),
) -> Declaration:
    """What counts among `standard_metrics` of the same splits.

    The first split of each kind is in front; further forget splits ask for the same facts in another form.
    """
    kept = [*retain, *utility]
    overall = ("all/model_utility",) if kept else ()
    able = keys_of(utility[0], (*_MATCHING, "probability")) if utility else ()
    headline = Headline(
        forgotten=keys_of(forget[0], KNOWING) if forget else (),
        forgotten_too=(keys_of(forget[0], _MATCHING),) if forget else (),
        unseen=tuple((f"{split}/{name}",) for split in unseen for name in ("probability", "exact_match")),
        quality=(f"{forget[0]}/forget_quality",) if forget else (),
        forms=tuple(keys_of(split, KNOWING) for split in forget[1:]),
        kept=keys_of(retain[0], KNOWING) if retain else (),
        kept_too=(keys_of(retain[0], _MATCHING),) if retain else (),
        utility=able,
        overall=overall,
    )
    rest = {"retain": f"{retain[0]}/probability" if retain else "", "utility": next(iter((*able, *overall)), "")}
    return Declaration(
        headline=headline,
        balance=Balance(forget=f"{forget[0]}/probability", **rest) if forget else None,
        alarm=tuple(f"{split}/probability" for split in (*retain[:1], *utility[:1])),
        forget_splits=tuple(forget),
        retain_splits=tuple(retain),
        unseen_splits=tuple(unseen),
    )


def keys_of(split: str, names: Sequence[str]) -> tuple[str, ...]:
    """The keys of these measures of one split."""
    return tuple(f"{split}/{name}" for name in names)


def _utility(splits: Sequence[str]) -> Metric:
    """Of values that any question with an answer gives; TOFU's nine (`tofu_model_utility`) need wrong answers too."""
    parts = [Part(split, what) for split in splits for what in (probability, rouge_l_recall)]
    meaning = (
        f"What should have been kept, in one number: harmonic mean of probability and ROUGE-L recall on "
        f"{', '.join(splits)} (not TOFU's nine parts). 1 = all perfect, 0 = one of them is lost."
    )
    return harmonic_mean("model_utility", parts, meaning)
