"""Whether rare and popular facts were forgotten alike, in a sentence that the numbers bear, or in none."""

from __future__ import annotations

from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.metrics.popularity import ByPopularity, Effect
from forgetting.report import wording
from forgetting.runs.results import Results

LEVEL = 0.05
"""How often one run may be given any such sentence where popularity makes no difference."""
_TESTED = ("forgotten", "probability_lost", "disagreement")


@dataclass(frozen=True, slots=True)
class Shown:
    """An effect that is told from none."""

    slope: Measure
    matched: bool
    """Among facts of one relation and answer."""
    between: bool = False
    """Not told among the rare and among the popular facts alone, so that it may rest on what else tells both apart."""

    @property
    def more(self) -> bool:
        """Whether popular facts have more of it."""
        return (self.slope.value or 0.0) > 0

    @property
    def said(self) -> str:
        """The slope with its interval, and on what it rests."""
        among = ", among facts of one relation and answer" if self.matched else ""
        return f"{wording.number(self.slope.value)} ({_ends(self.slope)}) per tenfold popularity{among}"


def popularity_of(run: Results) -> tuple[ByPopularity, ...]:
    """What the last evaluation says on popularity; what was to be forgotten comes first."""
    found = run.after.popularity if run.after is not None else ()
    forgets = run.declared.forget_splits
    return tuple(sorted(found, key=lambda one: one.split not in forgets))


def sentences(run: Results) -> list[str]:
    """What the run shows on rare and popular facts of what was to be forgotten; empty where it shows nothing.

    Three numbers are tested on each forget split: the share forgotten, the probability lost, and where both disagree.
    Facts of one relation and answer are compared where enough of them differ in popularity, all facts elsewhere; the
    level is divided by the number of tests. The interval must tell the slope from 0 as well.
    """
    found = tested(run)
    return [text for one in found if (text := _sentence(one, LEVEL / (len(_TESTED) * len(found))))]


def tested(run: Results) -> list[ByPopularity]:
    """The effects on what was to be forgotten."""
    return [one for one in popularity_of(run) if one.changes and one.split in run.declared.forget_splits]


def _sentence(found: ByPopularity, level: float) -> str:
    effects = {effect.outcome: effect for effect in found.effects}
    said, probable, apart = (shown(effects[name], level) if name in effects else None for name in _TESTED)
    parts = []
    if said is not None:
        parts.append(f"popular facts were forgotten {_more(said)} often than rare ones: {said.said}")
    if probable is not None:
        parts.append(f"popular facts lost {_more(probable)} of their probability: {probable.said}")
    if said is not None and probable is not None and said.more != probable.more:
        parts.append("generation and probability disagree on which facts are gone")
    if apart is not None:
        where = "popular" if apart.more else "rare"
        parts.append(f"generation and probability disagree more often on {where} facts: {apart.said}")
    if not parts:
        return ""
    text = f"{wording.plain(found.split)}: {'; '.join(parts)}."
    told = [one for one in (said, probable, apart) if one is not None]
    if not all(one.matched for one in told):
        text += (
            " Too few facts of one relation and answer differ in popularity to be compared with each other, so other "
            "relations and answers may be the cause."
        )
    if any(one.between for one in told):
        text += (
            " This shows only where rare facts are compared with popular ones; within either group popularity is not "
            "shown to matter. So whatever else differs between the groups may be the cause."
        )
    return text


def shown(effect: Effect, level: float) -> Shown | None:
    """The effect, if it is told from none at this level by its test and by its interval."""
    matched = effect.matched_p is not None
    slope, p = (effect.matched_slope, effect.matched_p) if matched else (effect.slope, effect.p)
    if p is None or p >= level or slope.low is None or slope.high is None or slope.low <= 0 <= slope.high:
        return None
    return Shown(slope, matched, between=not matched and not _within(effect))


def _within(effect: Effect) -> bool:
    """Whether the slope is told, with its sign, within the halves too; so, too, where that was not measured."""
    inner, whole = effect.within_slope, effect.slope
    if inner is None:
        return True
    if effect.within_p is None or effect.within_p >= LEVEL or inner.low is None or inner.high is None:
        return False
    return inner.low > 0 if (whole.value or 0.0) > 0 else inner.high < 0


def _more(one: Shown) -> str:
    return "more" if one.more else "less"


def _ends(measure: Measure) -> str:
    return f"{wording.number(measure.low)} to {wording.number(measure.high)}"
