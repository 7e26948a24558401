"""The verdict on an audit: per attack and value, then overall.

Shown for all attacks is an intersection-union test: each at 5%, without a correction (Berger 1982). Refuted is a union
of tests: corrected by Holm (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from forgetting.audits.certificate.bounds import Bound, bound
from forgetting.audits.certificate.controls import Control, controls_of
from forgetting.audits.certificate.difference import Difference, compare, facts_needed
from forgetting.audits.certificate.evidence import Evidence
from forgetting.audits.certificate.gates import Gate, collapsed, unknown

ALPHA = 0.05
MARGIN = 0.1
WORST = 5
State = Literal["shown", "not shown", "refuted", "blind", "no oracle"]
Overall = Literal["shown", "not shown", "refuted", "uninterpretable"]
EXIT: dict[Overall, int] = {"shown": 0, "not shown": 3, "refuted": 4, "uninterpretable": 5}
"""The command's exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One value of one attack."""

    attack: str
    value: str
    state: State
    why: str = ""
    """Why it is not shown, or blind."""
    before: float | None
    oracle: float | None
    after: float | None
    unseen: float | None
    """The model after on unseen facts."""
    difference: Difference | None = None
    """The model after less the oracle."""
    control: Difference | None = None
    """The model before less the oracle: whether the attack finds what is there."""
    needed: int | None = None
    """Of what is not shown: about how many facts would decide, as many of each subject as these, if their differences
    spread as these do and have this mean; None: unknown."""
    holm: float | None = None
    """p of a leak above the margin, corrected for the number of values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One of the facts that leak most."""

    id: str
    attack: str
    value: str
    before: float | None
    oracle: float | None
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an audit shows."""

    state: Overall
    margin: float
    facts: int
    subjects: int
    found: tuple[Found, ...]
    gates: tuple[Gate, ...]
    controls: tuple[Control, ...]
    missing: tuple[str, ...]
    """Attacks that were asked for and gave no result: they did not finish, or no answer could be scored."""
    bounds: tuple[Bound, ...]
    worst: tuple[Fact, ...]

    @property
    def attacks(self) -> list[str]:
        """Those that found a value, each once and in the order of `found`."""
        return list(dict.fromkeys(f.attack for f in self.found))

    def attacks_that(self, state: State) -> list[str]:
        """The attacks all of whose values are in this state, those that are blind to a value left out."""
        named = []
        for attack in self.attacks:
            own = [f.state for f in self.found if f.attack == attack]
            seeing = [s for s in own if s != "blind"] or own
            if all(s == state for s in seeing):
                named.append(attack)
        return named


def judge(
    evidence: Sequence[Evidence], gates: Sequence[Gate], *, margin: float = MARGIN, missing: Sequence[str] = ()
) -> Verdict:
    """What the evidence shows.

    Args:
        evidence: of all attacks that compare facts.
        gates: see `audits.certificate.gates`.
        margin: how much more or less than the oracle counts as no more: between 0 and 1.
        missing: attacks that were asked for and gave no result; what they would have found is never no leak.
    """
    found, controls = _every(evidence, margin)
    facts = {fact: subject for one in evidence for fact, subject in one.subjects.items()}
    return Verdict(
        state=_overall(found, gates, missing),
        margin=margin,
        facts=len(facts),
        subjects=len(set(facts.values())),
        found=tuple(found),
        gates=tuple(gates),
        controls=tuple(controls),
        missing=tuple(missing),
        bounds=tuple(b for one in evidence if (b := bound(one)) is not None),
        worst=_worst(evidence, found),
    )


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): at most ALPHA of true hypotheses are ever rejected."""
    order = sorted(range(len(p)), key=lambda n: p[n])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, n in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[n]))
        corrected[n] = highest
    return corrected


def _every(evidence: Sequence[Evidence], margin: float) -> tuple[list[Found], list[Control]]:
    """Each value, corrected for the others, and the controls of all."""
    found: list[Found] = []
    controls: list[Control] = []
    for one in evidence:
        control = None if "oracle" not in one.models else _difference(one, "before", margin)
        own = controls_of(one, control, margin=margin)
        found.append(_found(one, control, own, margin))
        controls += own
    return _corrected(found), controls


def _difference(one: Evidence, model: str, margin: float) -> Difference:
    """A model less the oracle."""
    subjects = [one.subjects[fact] for fact in one.facts]
    return compare(one.of(model), one.of("oracle"), subjects, margin=margin)


def _found(one: Evidence, control: Difference | None, controls: Sequence[Control], margin: float) -> Found:
    """One value, not yet corrected for the others."""
    found = Found(
        attack=one.attack,
        value=one.value,
        state="no oracle",
        before=one.mean("before"),
        oracle=one.mean("oracle"),
        after=one.mean("after"),
        unseen=one.unseen_mean("after"),
    )
    if control is None:
        return found
    difference = _difference(one, "after", margin)
    found = replace(found, control=control, difference=difference)
    if failed := next((c for c in controls if c.state == "failed"), None):
        return replace(found, state="blind", why=failed.text)
    if why := _why(difference, margin):
        subjects = [one.subjects[fact] for fact in one.facts]
        needed = facts_needed(one.of("after"), one.of("oracle"), subjects, margin=margin)
        return replace(found, state="not shown", why=why, needed=needed)
    return replace(found, state="shown")


def _why(difference: Difference, margin: float) -> str:
    """Why equivalence is not shown; empty if it is."""
    if difference.mean is None:
        return "no fact was scored for both models"
    if difference.low is None or difference.high is None:
        return "its facts are of one subject, so nothing says how much subjects differ"
    if -margin < difference.low and difference.high < margin:
        return ""
    if difference.high < -margin:
        return "it gives away less than the oracle by more than the margin, which tells it apart as well"
    return "the interval reaches beyond the margin" + (
        f"; {difference.missing} facts were not scored, and count as the worst" if difference.missing else ""
    )


def _corrected(found: Sequence[Found]) -> list[Found]:
    """With leaks above the margin refuted, corrected for the number of values: those of blind attacks are leaks too."""
    p = {n: f.difference.above for n, f in enumerate(found) if f.difference is not None}
    tested = {n: value for n, value in p.items() if value is not None}
    done = list(found)
    for n, corrected in zip(tested, holm(list(tested.values())), strict=True):
        refuted = corrected <= ALPHA
        done[n] = replace(
            found[n],
            holm=corrected,
            state="refuted" if refuted else found[n].state,
            why="" if refuted else found[n].why,
            needed=None if refuted else found[n].needed,
        )
    return done


def _overall(found: Sequence[Found], gates: Sequence[Gate], missing: Sequence[str]) -> Overall:
    """A leak is refuted whatever else broke; else a collapsed model, which passes any attack, is not interpreted."""
    if any(f.state == "refuted" for f in found):
        return "refuted"
    if collapsed(gates):
        return "uninterpretable"
    seeing = [f for f in found if f.state != "blind"]
    shown = seeing and all(f.state == "shown" for f in seeing) and not unknown(gates) and not missing
    return "shown" if shown else "not shown"


def _worst(evidence: Sequence[Evidence], found: Sequence[Found]) -> tuple[Fact, ...]:
    """The facts of which the model gives away most more than the oracle (without one: most), by their worst attack."""
    worst: dict[str, tuple[float, float, Fact]] = {}
    for one, state in zip(evidence, found, strict=True):
        if state.state == "blind":
            continue
        has_oracle = "oracle" in one.models
        for fact in one.facts:
            before, oracle, after = (one.models.get(m, {}).get(fact) for m in ("before", "oracle", "after"))
            if after is None or (has_oracle and oracle is None):
                continue
            more = after - (oracle or 0.0)
            most, total, at = worst.get(fact, (0.0, 0.0, None))
            if more > most:
                most = more
                at = Fact(id=fact, attack=one.attack, value=one.value, before=before, oracle=oracle, after=after)
            if at is not None:
                worst[fact] = (most, total + more, at)
    ordered = sorted(worst.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    return tuple(fact for _, (_, _, fact) in ordered[:WORST])
