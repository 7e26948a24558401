"""Whether forgotten text ends up less likely than text that the model has never seen, and can be recognised by it."""

from __future__ import annotations

import numpy as np

from forgetting.metrics.detection import auc
from forgetting.metrics.likelihood import probability
from forgetting.metrics.statistics import FEWEST, Estimate
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import relation
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.paired import Side, matched

HEADLINE = "forget text ends up clearly less likely than unseen text"
"""For the headline of a verdict."""


def below_unseen(models: Models) -> list[Finding]:
    """One finding for each forget set that is clearly less likely than unseen text on the model after.

    Both are measured on the same model, per token. Records decide: the chance that one forget text is less likely than
    one unseen text, which must be above one half by its whole interval; without records the intervals of both means do.
    Nothing is said of a set that was below unseen text at the start already (then the texts are of different kinds),
    whose start is unknown, or that an oracle was measured on, which is the better comparison.
    """
    unseen = _unseen_key(models)
    if unseen is None:
        return []
    return [finding for key in _forget_keys(models) if (finding := _of(models, key, unseen)) is not None]


def _unseen_key(models: Models) -> str | None:
    """The probability of the split that forget sets are compared with, if the run's suite declares one."""
    split = next((column[0].split("/")[0] for column in models.run.declared.headline.unseen if column), None)
    key = f"{split}/{probability.name}"
    return key if split is not None and models.after.value(key) is not None else None


def _forget_keys(models: Models) -> list[str]:
    """The probability of every set that was to be forgotten: one for each stage that forgets one of its own."""
    keys = headline_measures.sets_keys([models.run]) or [headline_measures.forgetting_key([models.run]) or ""]
    return [f"{key.split('/')[0]}/{probability.name}" for key in keys if key]


def _of(models: Models, key: str, unseen: str) -> Finding | None:
    before, after = models.before, models.after
    forgotten, never = after.value(key), after.value(unseen)
    if forgotten is None or never is None or models.oracle.value(key) is not None:
        return None
    share = _share_below(after, key, unseen)
    if before.value(key) is None or before.value(unseen) is None or not _lower(after, key, unseen, share):
        return None
    if _lower(before, key, unseen, _share_below(before, key, unseen)):
        return None
    text = (
        f"On the model at the end {wording.title(forgotten)} is {wording.with_interval(forgotten)}, clearly below that "
        f"of unseen text, {wording.with_interval(never)}{_pairs(share)}. Where both are texts of one kind, those that "
        "were forgotten can be recognised by it."
    )
    return Finding("Below unseen text", "mixed", text)


def _lower(side: Side, key: str, unseen: str, share: Estimate | None) -> bool:
    """Whether the set is clearly less likely than unseen text on one model."""
    one, other = side.value(key), side.value(unseen)
    if one is None or other is None or min(one.count, other.count) < FEWEST:
        return False
    if share is None or share.value is None:
        return relation(one, other) == "lower"
    return share.value == 1 or (share.low is not None and share.low > 0.5)


def _share_below(side: Side, key: str, unseen: str) -> Estimate | None:
    """The chance that a forget text is less likely than an unseen text, over all pairs; None without records."""
    found = [matched(each, [side]) for each in (key, unseen)]
    if found[0] is None or found[1] is None:
        return None
    values = [-value for rows in found for _, (value,) in rows or ()]
    labels = [i == 0 for i, rows in enumerate(found) for _ in rows or ()]
    clusters = [f"{i} {cluster}" for i, rows in enumerate(found) for cluster, _ in rows or ()]
    return auc(np.array(values), np.array(labels), np.array(clusters))


def _pairs(share: Estimate | None) -> str:
    if share is None or share.value is None:
        return ""
    if share.value == 1:
        return ": every one of the former is less likely than every one of the latter"
    low, high = (f"{100 * end:.0f}" for end in (share.low or 0.0, share.high or 1.0))
    return (
        f": of a pair of one and the other, the former is the less likely in {100 * share.value:.0f} % ({low}–{high} %)"
    )
