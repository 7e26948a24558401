"""Whether a set was forgotten: against its start, against the oracle, and in another form of the question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from forgetting.metrics.share import LEAST, NEARLY_NOTHING, ends, hardly_there
from forgetting.report import headline_measures, wording
from forgetting.report.verdict.few import Few, few
from forgetting.report.verdict.finding import Finding, Tone
from forgetting.report.verdict.intervals import Contrast, amount, contrast, reason_at
from forgetting.report.verdict.models import Models, capital, path, stage_of
from forgetting.report.verdict.paired import members

State = Literal[
    "rose",
    "none",
    "partial",
    "beyond",
    "oracle",
    "near",
    "lower",
    "few",
    "between",
    "nothing",
    "unknown",
    "unsure",
    "open",
    "unmeasured",
]

WORDS: dict[State, tuple[Tone, str]] = {
    "rose": ("bad", "The forget set is known better than at the start"),
    "none": ("bad", "No forgetting is shown"),
    "partial": ("mixed", "The forget set is forgotten in part"),
    "beyond": ("mixed", "The forget set is below the oracle's level (over-forgetting)"),
    "oracle": ("good", "The forget set is down to the oracle's level"),
    "near": ("open", "The forget set was lowered; how close to the oracle, too few examples say"),
    "lower": ("open", "The forget set was lowered"),
    "few": ("open", "The forget set was lowered"),
    "between": ("open", "The forget set is told apart neither from its start nor from the oracle"),
    "nothing": (
        "open",
        "The start is not shown to know the forget set better than the oracle, so forgetting cannot be shown",
    ),
    "unknown": ("open", "The forget set was hardly known at the start, so forgetting cannot be shown"),
    "unsure": ("open", "The forget set is not shown to be known at the start, so forgetting cannot be shown"),
    "open": ("open", "Whether anything was forgotten is open"),
    "unmeasured": ("open", "What was forgotten was not measured"),
}
_OF_REQUESTS: dict[State, str] = {
    "rose": "better known than at the start",
    "none": "not shown to be forgotten",
    "partial": "forgotten in part",
    "beyond": "below the oracle's level (over-forgetting)",
    "oracle": "down to the oracle's level",
    "near": "lowered (how close to the oracle, too few examples say)",
    "lower": "lowered (without an oracle nothing says whether far enough)",
    "few": "lowered in too few examples for an interval",
    "between": "told apart neither from the start nor from the oracle",
    "nothing": "no better known at the start than by the oracle",
    "unknown": "hardly known at the start",
    "unsure": "not shown to be known at the start",
    "open": "open",
    "unmeasured": "not measured",
}
_UNPAIRED = (
    "Its values before and after are compared by their separate intervals: the run does not say which of its records "
    "are of this request (those of earlier versions do not)."
)
LEFT = 0.25
"""The share of the way from start to oracle that may be left, at most, of a set that is down to the oracle's level."""
FAILED: tuple[State, ...] = ("rose", "none")
REACHED: tuple[State, ...] = ("oracle", "near", "beyond", "lower", "few")


def forgetting(models: Models, key: str | None, topic: str = "Forgetting") -> tuple[State, Finding]:
    """What the numbers allow to say of one set, and the sentences for it."""
    before, after, oracle = (side.value(key) for side in (models.before, models.after, models.oracle))
    if after is None or key is None:
        text = f"How much was forgotten is not known: {reason_at(models.after.evaluation, key)}."
        return "unmeasured", Finding(topic, "open", text)
    fell = contrast(key, models.after, models.before) if before else None
    stands = contrast(key, models.after, models.oracle) if oracle else None
    state, small = _state(models, key, fell, stands), few(key, models.after, models.before)
    reading = {
        "rose": f"It rose {small.words}, too few for an interval of the change."
        if small and small.is_higher
        else f"It rose{_by(fell)}.",
        "none": f"It fell by less than {LEAST:g}{_by(fell)}."
        if fell and fell.slight == "lower"
        else f"No drop is shown{_by(fell)}.",
        "partial": f"That is still above the oracle{_by(stands)}: forgetting is incomplete{_way(models, key)}.",
        "beyond": f"That is below the oracle (over-forgetting){_by(stands)}: the model finds the right answers less "
        "likely than one that never saw them, which can itself give away what was forgotten.",
        "oracle": f"{_overlap(stands)}: {_alike(stands)}.",
        "near": f"{_overlap(stands)}: the two are not told apart, but more than a quarter of what the start knew "
        "beyond the oracle may be left.",
        "lower": f"It fell{_by(fell)}." if fell and fell.words else "",
        "few": f"It fell {small.words if small else ''}, too few for an interval of the change.",
        "between": "Neither the drop nor a difference from the oracle is shown: there are too few examples to say.",
        "nothing": "The start is not shown to be above the oracle: on this measure there is little to forget, or too "
        "few examples to see it.",
        "unknown": "The start hardly knew it, so there was nothing to forget on this measure.",
        "unsure": "The interval of the start reaches down to nothing, so no forgetting is counted from it.",
        "open": "There is nothing to tell a difference from noise by."
        if before
        else "Without a value at the start nothing says what was forgotten.",
    }[state]
    missing = "" if oracle else f" No oracle to compare with ({_no_oracle(models, key)})"
    missing += "" if oracle else ": whether this is enough is unknown." if state in REACHED else "."
    text = f"{path(models, key, 'which never saw these examples')}. {reading}".strip() + missing
    return state, Finding(topic, WORDS[state][0], text)


def headline_of(models: Models, key: str | None, state: State, *, compared: bool = False) -> str:
    """The words of a state for a headline, with the numbers of a failure.

    Args:
        compared: whether the headline says otherwise how far the set is to fall: a goal, or unseen text.
    """
    text = WORDS[state][1]
    before, after = models.before.value(key), models.after.value(key)
    if state == "rose" and before and after:
        return f"{text}: {wording.title(after)} rose from {wording.value_text(before)} to {wording.value_text(after)}"
    if state == "few" and (small := few(key or "", models.after, models.before)):
        text += f" {small.words}, too few for an interval"
    if state in ("lower", "few") and not compared and models.oracle.value(key) is None:
        text += "; without an oracle nothing says whether far enough or too far"
    return text + (_way(models, key).replace(", ", ": ", 1) if state == "partial" and key else "")


@dataclass(frozen=True, slots=True)
class Request:
    """One of several sets that were to be forgotten: its stage, its measure, and what is said of it at the end."""

    name: str
    key: str
    state: State
    finding: Finding


def requests(models: Models) -> list[Request]:
    """One for each stage that forgets a set of its own; empty where there are not several."""
    keys = headline_measures.sets_keys([models.run])
    if len(keys) < 2:
        return []
    found = []
    for key in keys:
        split = key.split("/")[0]
        name = stage_of(models.run, split) or split.removesuffix("-forget")
        state, finding = forgetting(models, key, f"Request {name}")
        if models.after.records and not members(key, models.after):
            finding = replace(finding, text=f"{finding.text} {_UNPAIRED}")
        found.append(Request(name, key, state, finding))
    return found


def counted(states: list[State]) -> str:
    """`Of 3 requests 1 is down to the oracle's level and 2 are forgotten in part`."""
    said = [
        f"{states.count(s)} {'is' if states.count(s) == 1 else 'are'} {_OF_REQUESTS[s]}" for s in dict.fromkeys(states)
    ]
    return f"Of {len(states)} requests {wording.join(said)}"


def other_form(models: Models, key: str, main: State) -> Finding | None:
    """The same facts asked for in another form.

    Tone `bad` where they are known better than at the start, by `NEARLY_NOTHING` at least; `mixed` where clearly more
    is left than in the oracle or, without one, where no drop is shown, though the plain form is forgotten.
    """
    before, after, oracle = (side.value(key) for side in (models.before, models.after, models.oracle))
    if after is None:
        return None
    change = contrast(key, models.after, models.before) if before else None
    small = few(key, models.after, models.before)
    rose = (change is not None and change.relation == "higher") or (small is not None and small.is_higher)
    if rose and before is not None and amount(after) - amount(before) >= NEARLY_NOTHING:
        by = f" ({small.words}, too few for an interval)" if small else _by(change)
        text = f"{path(models, key)}. Asked in this form, the forget set is known better than at the start{by}."
        return Finding("Another form", "bad", text)
    text = f"{path(models, key)}."
    hidden = " Part of it is only hidden." if main in REACHED else ""
    if oracle is not None:
        left = contrast(key, models.after, models.oracle).relation == "higher"
        text += f" Asked in this form, the model still knows more than the oracle.{hidden}" if left else ""
    else:
        left = change is not None and change.relation in {"overlap", "higher"}
        left = left and before is not None and not hardly_there(before) and not _fell(small)
        text += " Asked in this form, no drop is shown." if left else ""
    return Finding("Another form", "mixed" if left else "note", text)


def is_shown_to_fall(models: Models, key: str) -> bool:
    """Whether a set is less known at the end, or in the mean of too few examples for an interval of the change."""
    fell = contrast(key, models.after, models.before).relation
    return fell == "lower" or (fell != "higher" and _fell(few(key, models.after, models.before)))


def _state(models: Models, key: str, fell: Contrast | None, stands: Contrast | None) -> State:
    before = models.before.value(key)
    fall, at = fell and fell.relation, stands and stands.relation
    small = few(key, models.after, models.before)
    if before is None:
        return "open"
    if fall == "higher" or (small and small.is_higher):
        return "rose"
    if hardly_there(before):
        return "unknown" if amount(before) < NEARLY_NOTHING else "unsure"
    if fall != "lower" and _fell(small):
        return "few"
    if at == "unclear":
        at = None
    if fell is not None and fall != "lower" and at and contrast(key, models.before, models.oracle).relation in _BELOW:
        return "nothing"
    if at == "lower":
        return "beyond"
    if at == "overlap":
        return "between" if fall == "overlap" else "near" if _may_be_far(models, key, stands) else "oracle"
    if fall == "lower":
        return "partial" if at else "lower"
    return "none" if fall == "overlap" else "open"


def _may_be_far(models: Models, key: str, stands: Contrast | None) -> bool:
    """Whether more than `LEFT` of what the start had above the oracle may be left, though no difference is shown."""
    before, after, oracle = (side.value(key) for side in (models.before, models.after, models.oracle))
    if before is None or after is None or oracle is None:
        return False
    known = ends(after)
    most = None if known is None else known[1] - amount(oracle)
    if stands is not None and stands.pairs is not None:
        most = stands.pairs.high
    return most is not None and most > max(LEAST, LEFT * (amount(before) - amount(oracle)))


def _fell(small: Few | None) -> bool:
    return small is not None and small.is_lower


_BELOW = ("lower", "overlap")


def _by(found: Contrast | None) -> str:
    return f" ({found.words})" if found and found.words else ""


def _overlap(stands: Contrast | None) -> str:
    if stands and stands.words:
        return capital(stands.words)
    return "The intervals of the run and the oracle overlap"


def _alike(stands: Contrast | None) -> str:
    """Why a set counts as down to the oracle's level: no difference is shown, or one too small to be counted."""
    pairs = stands.pairs if stands else None
    shown = pairs is not None and pairs.low is not None and pairs.high is not None and not pairs.low <= 0 <= pairs.high
    return f"a difference of less than {LEAST:g}" if shown else "at this sample size the two are not told apart"


def _way(models: Models, key: str | None) -> str:
    """How much of the way from start to oracle was gone."""
    before, after, oracle = (side.value(key) for side in (models.before, models.after, models.oracle))
    if before is None or after is None or oracle is None or amount(before) <= amount(oracle):
        return ""
    way = 100 * (amount(before) - amount(after)) / (amount(before) - amount(oracle))
    part = "over 99" if way > 99 else "under 1" if way < 1 else f"{way:.0f}"
    return f", {part} % of the way from the start to the oracle"


def _no_oracle(models: Models, key: str) -> str:
    evaluation = models.oracle.evaluation
    return "none was given" if evaluation is None else reason_at(evaluation, key)
