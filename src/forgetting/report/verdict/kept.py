"""What forgetting cost: retained facts, general ability, and what else a suite puts in front."""

from __future__ import annotations

from typing import Literal

from forgetting.core.measure import Measure
from forgetting.metrics.damage import TOLERATED
from forgetting.metrics.share import LEAST, NEARLY_NOTHING, ends, is_share, nothing_to_lose
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.few import Few, few
from forgetting.report.verdict.finding import Finding, Tone
from forgetting.report.verdict.intervals import Contrast, amount, contrast, reason_at
from forgetting.report.verdict.models import Models, path
from forgetting.report.verdict.paired import below

Keeping = Literal["kept", "slight", "damaged", "destroyed", "little", "unsure", "open", "unmeasured"]

WORDS: dict[Keeping, tuple[Tone, str]] = {
    "kept": ("good", "no loss of what should stay is shown"),
    "slight": ("good", "less than a hundredth of what should stay is lost"),
    "damaged": ("mixed", "a loss of what should stay is shown"),
    "destroyed": ("bad", "most of what should stay is gone"),
    "little": ("open", "there was hardly anything to lose of what should stay"),
    "unsure": ("open", "what should stay is not shown to be known at the start, so no loss is counted"),
    "open": ("open", "what it cost elsewhere is open"),
    "unmeasured": ("open", "what it cost elsewhere was not measured"),
}
_WORST: tuple[Keeping, ...] = ("destroyed", "damaged", "open", "slight", "kept", "unsure", "little", "unmeasured")


def keeping(models: Models) -> tuple[Keeping, list[Finding]]:
    """The worst that is shown of everything that should stay, and a finding for each measure of it."""
    run = models.run
    found = [
        _of(models, headline_measures.retention_key([run]), "Retain"),
        _of(models, headline_measures.utility_key([run]), "Utility"),
    ]
    for key in headline_measures.kept_besides_keys([run]):
        if models.after.evaluation is not None and (models.before.value(key) or models.after.value(key)):
            found.append(_of(models, key, "Kept besides"))
    return min((state for state, _ in found), key=_WORST.index), [finding for _, finding in found]


def _of(models: Models, key: str | None, topic: str) -> tuple[Keeping, Finding]:
    before, after = models.before.value(key), models.after.value(key)
    if after is None and before is not None and models.after.evaluation is not None:
        text = f"{wording.title(before)} was {wording.with_interval(before)} at the start and has no value at the end"
        reason = reason_at(models.after.evaluation, key)
        return "open", Finding(topic, "open", f"{text}: {reason}. What was lost is unknown.")
    if after is None or key is None:
        reason = _given_none(models) if topic == "Retain" else ""
        reason = reason or reason_at(models.after.evaluation, key)
        return "unmeasured", Finding(topic, "open", f"{topic} was not measured: {reason}.")
    if before is None:
        return "open", Finding(topic, "open", f"{path(models, key)}. What was lost is unknown.")
    change = contrast(key, models.after, models.before)
    small = few(key, models.after, models.before)
    state = _state(models, key, change, small)
    said = f"{small.words}, too few for an interval" if small else change.words
    by = f" ({said})" if said else ""
    reading = {
        "destroyed": f"Less than half of it is left{by}.",
        "damaged": f"That is a loss{by}."
        if small
        else f"That is a loss, not noise of the sample{by}."
        if by
        else "The intervals do not overlap: this is a loss, not noise of the sample.",
        "slight": f"That is a loss, of less than a hundredth{by}.",
        "kept": f"A loss of less than {LEAST:g}{by}."
        if change.slight == ("higher" if after.direction == "down" else "lower")
        else f"No loss is shown{_room(before, after, change)}.",
        "little": "The start had hardly any of it, so there was nothing to lose.",
        "unsure": "The interval of the start reaches down to nearly nothing, so no loss is counted from it.",
        "open": "Without intervals, a difference is not distinguishable from noise."
        if ends(before) is None or ends(after) is None
        else "There are too few examples to tell a difference from noise.",
    }[state]
    return state, Finding(topic, WORDS[state][0], f"{path(models, key)}. {reading}")


def left_of(models: Models, key: str) -> Keeping:
    """What became of one measure that both ends have."""
    return _state(models, key, contrast(key, models.after, models.before), few(key, models.after, models.before))


def _given_none(models: Models) -> str:
    """What it means that a run was given data to forget and none to retain; empty if it was given some."""
    roles = {name.split(" ")[0] for name in models.run.data}
    if "forget" not in roles or "retain" in roles:
        return ""
    return "no retain data were given, so nothing held the rest of the model in place. Give some (data.retain=…)"


def _state(models: Models, key: str, change: Contrast, small: Few | None) -> Keeping:
    before, after = models.before.value(key), models.after.value(key)
    assert before is not None and after is not None
    if nothing_to_lose(before):
        return "little" if amount(before) < NEARLY_NOTHING else "unsure"
    if small is not None and (lost := _of_few(before, after)):
        return lost
    if change.relation == "unclear":
        return "open"
    if change.relation != ("higher" if after.direction == "down" else "lower"):
        return "kept"
    if _is_slight(before, after, change):
        return "slight"
    # Of a value below 0, such as a log probability, there is no half.
    halved = after.direction != "down" and amount(before) > 0 and _less_than_half(models, key, before, after)
    return "destroyed" if halved else "damaged"


def _is_slight(before: Measure, after: Measure, change: Contrast) -> bool:
    """Whether the pairs show that less than a hundredth of a share is lost."""
    if change.pairs is None or change.pairs.low is None or not (is_share(before) and is_share(after)):
        return False
    return after.direction != "down" and -change.pairs.low < NEARLY_NOTHING * amount(before)


def _of_few(before: Measure, after: Measure) -> Keeping | None:
    """What is lost of a few examples, by their means: they were to stay themselves, whatever became of others."""
    if after.direction == "down" or amount(after) >= (1 - TOLERATED) * amount(before):
        return None
    return "destroyed" if amount(after) < amount(before) / 2 else "damaged"


def _less_than_half(models: Models, key: str, before: Measure, after: Measure) -> bool:
    """Whether less than half is shown to be left: paired where records allow it, else by the ends of the intervals."""
    shown = below(key, models.after, models.before, 0.5)
    if shown is not None:
        return shown
    had, has = ends(before), ends(after)
    return had is not None and has is not None and has[1] < had[0] / 2


def _room(before: Measure, after: Measure, change: Contrast) -> str:
    """How large a loss the intervals leave possible."""
    down = after.direction == "down"
    if change.pairs is not None and change.pairs.low is not None and change.pairs.high is not None:
        most = change.pairs.high if down else -change.pairs.low
        if most < LEAST / 2:
            return f" ({change.words})"
        return f" ({change.words}), though a loss of {wording.amount_text(most)} cannot be ruled out"
    known = ends(after)
    if known is None or down or known[0] >= amount(before):
        return ""
    return f", though the interval reaches down to {wording.amount_text(known[0])}"
