"""How likely forgotten text is beside text that the model has never seen: clearly more or less gives it away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forgetting.metrics.detection import auc
from forgetting.metrics.likelihood import probability
from forgetting.metrics.share import LEAST
from forgetting.metrics.statistics import FEWEST, Estimate
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.finding import Finding
from forgetting.report.verdict.intervals import amount, relation
from forgetting.report.verdict.models import Models
from forgetting.report.verdict.paired import Side, matched

CHANCE = 0.05
"""How often chance alone may put all of a small set on one side of unseen text, where that is to be said."""


@dataclass(frozen=True, slots=True)
class BesideUnseen:
    """The findings, and what a headline says of them."""

    findings: tuple[Finding, ...] = ()
    headline: tuple[str, ...] = ()


def beside_unseen(models: Models) -> BesideUnseen:
    """One finding for each forget set that is clearly less or more likely than unseen text on the model after.

    Both are measured on the same model, per token. Records decide: the chance that one forget text is less likely than
    one unseen text, which must be beyond one half by its whole interval; without records the intervals of both means
    do. Of fewer than `FEWEST` texts every one must be on one side of all unseen ones. Nothing is said of a difference
    of less than a thousandth, of a set that was below unseen text at the start already (then the texts are of different
    kinds), whose start is unknown, or that an oracle was measured on, which is the better comparison.
    """
    unseen = unseen_key(models)
    if unseen is None:
        return BesideUnseen()
    found = {key: stands for key in forget_keys(models) if (stands := _stands(models, key, unseen)) is not None}
    above = [key for key, side in found.items() if side == "higher"]
    words = []
    if above:
        were = all(_side(models.before, key, unseen) == "higher" for key in above)
        words.append(f"forget text {'is still' if were else 'ends up'} clearly more likely than unseen text")
    if len(above) < len(found):
        words.append("forget text ends up clearly less likely than unseen text")
    return BesideUnseen(tuple(_finding(models, key, unseen, side) for key, side in found.items()), tuple(words))


def unseen_key(models: Models) -> str | None:
    """The probability of the split that forget sets are compared with, if the run's suite declares one."""
    split = next((column[0].split("/")[0] for column in models.run.declared.headline.unseen if column), None)
    key = f"{split}/{probability.name}"
    return key if split is not None and models.after.value(key) is not None else None


def forget_keys(models: Models) -> list[str]:
    """The probability of every set that was to be forgotten: one for each stage that forgets one of its own."""
    keys = headline_measures.sets_keys([models.run]) or [headline_measures.forgetting_key([models.run]) or ""]
    return [f"{key.split('/')[0]}/{probability.name}" for key in keys if key]


def _stands(models: Models, key: str, unseen: str) -> str | None:
    """Where the set stands beside unseen text, `higher` or `lower`; None where that is not clear or not comparable."""
    before, after = models.before, models.after
    known = [side.value(each) for side in (before, after) for each in (key, unseen)]
    if any(measure is None for measure in known) or models.oracle.value(key) is not None:
        return None
    return None if _side(before, key, unseen) == "lower" else _side(after, key, unseen)


def _side(model: Side, key: str, unseen: str) -> str | None:
    """Whether the set is clearly less or more likely than unseen text on one model."""
    one, other = model.value(key), model.value(unseen)
    if one is None or other is None or abs(amount(one) - amount(other)) < LEAST:
        return None
    share = _share_below(model, key, unseen)
    if share is None or share.value is None:
        return found if (found := relation(one, other)) in ("lower", "higher") else None
    if min(one.count, other.count) < FEWEST and not _all_apart(share, one.count, other.count):
        return None
    low, high = share.low, share.high
    if share.value == 1 or (low is not None and low > 0.5):
        return "lower"
    return "higher" if share.value == 0 or (high is not None and high < 0.5) else None


def _all_apart(share: Estimate, forgotten: int, never: int) -> bool:
    """Whether the texts of a small set are all on one side of unseen text, as they are by chance once in 20 times."""
    return share.value in (0, 1) and math.comb(forgotten + never, forgotten) >= 1 / CHANCE


def _finding(models: Models, key: str, unseen: str, side: str) -> Finding:
    forgotten, never = models.after.value(key), models.after.value(unseen)
    assert forgotten is not None
    assert never is not None
    way, likely = ("above", "more") if side == "higher" else ("below", "less")
    share = _share_below(models.after, key, unseen)
    text = (
        f"On the model at the end {wording.title(forgotten)} is {wording.with_interval(forgotten)}, clearly {way} that "
        f"of unseen text, {wording.with_interval(never)}{_pairs(share, likely)}. Where both are texts of one kind, "
        "those that were to be forgotten can be recognised by it."
    )
    return Finding(f"{way.capitalize()} unseen text", "mixed", text)


def _share_below(side: Side, key: str, unseen: str) -> Estimate | None:
    """The chance that a forget text is less likely than an unseen text, over all pairs; None without records."""
    found = [matched(each, [side]) for each in (key, unseen)]
    if found[0] is None or found[1] is None:
        return None
    values = [-value for rows in found for _, (value,) in rows or ()]
    labels = [i == 0 for i, rows in enumerate(found) for _ in rows or ()]
    clusters = [f"{i} {cluster}" for i, rows in enumerate(found) for cluster, _ in rows or ()]
    return auc(np.array(values), np.array(labels), np.array(clusters))


def _pairs(below: Estimate | None, likely: str) -> str:
    """In how many pairs of a forget and an unseen text the former is the less, or more, likely one."""
    if below is None or below.value is None:
        return ""
    ends = (below.low or 0.0, below.high or 1.0)
    share, (low, high) = below.value, ends
    if likely == "more":
        share, (low, high) = 1 - share, (1 - ends[1], 1 - ends[0])
    if share == 1:
        return f": every one of the former is {likely} likely than every one of the latter"
    return (
        f": of a pair of one and the other, the former is the {likely} likely in {100 * share:.0f} % "
        f"({100 * low:.0f}–{100 * high:.0f} %)"
    )
