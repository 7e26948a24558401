"""How well membership scores tell texts that a model was trained on from texts of the same kind that it never saw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from forgetting.core.example import Role
from forgetting.core.measure import Direction, Measure
from forgetting.core.record import Record
from forgetting.metrics.detection import auc
from forgetting.metrics.membership.scores import GRADIENT, LOSS, REFERENCE, ZLIB, build_of_zlib
from forgetting.metrics.per_example import measure
from forgetting.metrics.statistics import Estimate, estimate_mean

FALSE_POSITIVES = 0.01
"""The share of unseen texts that may be taken for seen ones; 99 unseen texts or fewer cannot tell it."""
FEW = 20
"""Fewer clusters than that on a side make the interval too narrow."""
BLIND = "blind"
"""The score that asks no model: the number of tokens. It tells kinds of text apart, not what was seen."""
TOKENS = "tokens"
"""The value of a record that holds it."""

_MEANINGS = {
    LOSS: "By the mean loss of a token.",
    ZLIB: f"By the mean loss over the bytes of the text as zlib compresses it (zlib {build_of_zlib()}).",
    REFERENCE: "By the mean loss less that of the model before.",
    GRADIENT: "By the norm of the gradient of the mean loss.",
    BLIND: "By the number of tokens, without a model: away from ½, the texts are of different kinds and no other score "
    "of them tells what was seen.",
}


def membership_measures(records: Mapping[str, Sequence[Record]]) -> list[Measure]:
    """Of each score the AUC of forgotten and of kept texts against unseen texts of the same kind.

    The AUC is the chance that a text looks more seen than an unseen one; ½: they cannot be told apart; below ½, it
    looks less seen than unseen text does. Of forgotten texts also `signal`, |AUC - ½|, which is above 0 by chance too,
    and the share that is found while 1% of the unseen texts are taken for seen. Intervals are DeLong's, clustered by
    source example (`metrics.detection`), and too narrow below about 20 clusters.

    Where kinds are known (`Record.kind`), unseen texts of a kind that no member has are left out. Without unseen texts
    nothing is measured, and the reason is said.

    Args:
        records: by role, with scores in `values`, each higher where a text looks less seen.
    """
    unseen = records.get(Role.HOLDOUT, ())
    found: list[Measure] = []
    for split in (str(role) for role in (Role.FORGET, Role.RETAIN) if records.get(role)):
        members = records[split]
        others = _of_same_kind(unseen, members)
        absent = "" if others else "no unseen text is of the same kind" if unseen else _NO_UNSEEN
        names = dict.fromkeys(name for record in members for name in record.values if name != TOKENS)
        for name in (*names, BLIND):
            found += told_apart(name, split, members, others, absent, full=split == Role.FORGET)
    return found


_NO_UNSEEN = "there are no unseen texts to compare with; give the run holdout data of the same kind"


def signal(estimate: Estimate) -> Estimate:
    """|AUC - ½|, with the interval that the AUC's implies: from 0 where that holds ½."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return replace(estimate, value=None if value is None else abs(value - 0.5), low=None, high=None)
    ends = abs(low - 0.5), abs(high - 0.5)
    return replace(estimate, value=abs(value - 0.5), low=0.0 if low <= 0.5 <= high else min(ends), high=max(ends))


def by_chance(members: int, others: int) -> float:
    """The mean of |AUC - ½| where scores of members and others do not differ: √(2/π) of the AUC's deviation then.

    That deviation is √((n + m + 1) / (12 n m)), Mann and Whitney's, of texts that are independent.
    """
    return math.sqrt(2 / math.pi * (members + others + 1) / (12 * members * others))


def found_at(members: Sequence[float], others: Sequence[float], false_positives: float) -> list[float]:
    """Of each member, 1 if it scores lower than all but a share `false_positives` of the others, else 0.

    At most that share of the others scores lower than the same bound.
    """
    bound = sorted(others)[math.floor(false_positives * len(others))]
    return [float(value < bound) for value in members]


def _of_same_kind(unseen: Sequence[Record], members: Sequence[Record]) -> list[Record]:
    kinds = {record.kind for record in members}
    return [r for r in unseen if not r.kind or "" in kinds or r.kind in kinds]


def told_apart(
    name: str,
    split: str,
    members: Sequence[Record],
    others: Sequence[Record],
    absent: str = "",
    *,
    full: bool = False,
) -> Iterator[Measure]:
    """The measures of one score: its AUC; `full`: the signal and what is found at few false positives too.

    Args:
        name: of the score in `Record.values`.
        split: of the measures.
        members: texts that were seen, or are thought to be.
        others: unseen texts.
        absent: why there is nothing to measure; empty: there is.
        full: all measures.
    """
    value_of = TOKENS if name == BLIND else name
    ours, theirs = (
        [(r.cluster, r.values[value_of]) for r in some if value_of in r.values] for some in (members, others)
    )
    if not absent and not (ours and theirs):
        absent = "no text of one side has this score"
    says = _MEANINGS.get(name, f"By the least likely tokens ({name}).")

    def made(estimate: Estimate, what: str, meaning: str, direction: Direction = "none", why: str = "") -> Measure:
        return measure(
            estimate, name=f"{name}_{what}", split=split, direction=direction, meaning=meaning, absent=absent or why
        )

    pooled = [*ours, *theirs]
    told = Estimate(None, 0)
    if not absent:
        seen = [True] * len(ours) + [False] * len(theirs)
        told = auc([-value for _, value in pooled], seen, [cluster for cluster, _ in pooled])
    clusters = min(len({cluster for cluster, _ in some}) for some in (ours, theirs))
    narrow = f" One side has {clusters} source examples, so the interval is too narrow." if 0 < clusters < FEW else ""
    yield made(told, "auc", f"The chance that a text looks more seen than an unseen one; ½: no telling. {says}{narrow}")
    if not full or name == BLIND:
        return
    chance = "" if absent else f" If nothing tells them apart it is {by_chance(len(ours), len(theirs)):.3f} on average."
    yield made(signal(told), "signal", f"|AUC - ½|: how far texts are told apart, either way. {says}{chance}", "down")
    few = len(theirs) * FALSE_POSITIVES < 1
    flagged = Estimate(None, 0)
    if not absent and not few:
        outcomes = found_at([v for _, v in ours], [v for _, v in theirs], FALSE_POSITIVES)
        flagged = estimate_mean(outcomes, [c for c, _ in ours], key=f"{split}/{name}_tpr", unit=True)
    yield made(
        flagged,
        "tpr",
        f"Share of texts that look more seen than 99% of {len(theirs)} unseen ones; 1%: no telling. {says}",
        "down",
        f"{len(theirs)} unseen texts cannot tell what 1% of them is; at least 100 can" if few else "",
    )
