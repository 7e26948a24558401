"""What must hold of an attack before it says anything: it finds what is there, teaches nothing, and breaks no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forgetting.audits.certificate.difference import Difference
from forgetting.audits.certificate.evidence import Evidence
from forgetting.audits.certificate.gates import KEPT, GateState

TAUGHT = 0.5
"""An attack that gets more than this share of what the model before gives away from the oracle too teaches, or asks for
what anyone can guess."""
ControlName = Literal["finds what is there", "teaches nothing", "leaves what should stay"]
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One condition of one value of an attack; where it failed the attack is blind."""

    attack: str
    value: str
    name: ControlName
    state: GateState
    text: str
    """What was found, in a clause."""


def controls_of(one: Evidence, control: Difference | None, *, margin: float) -> list[Control]:
    """The controls of one value of one attack.

    Args:
        one: what it got from each model.
        control: the model before less the oracle; None: there is no oracle, so only the last control can be looked at.
        margin: see `audits.certificate.verdict.judge`.
    """
    found = [] if control is None else [_finds(one, control, margin), _teaches(one)]
    if one.kept:
        found.append(_leaves(one))
    return found


def _finds(one: Evidence, control: Difference, margin: float) -> Control:
    """It must find a difference above the margin where there is one: between the model before and the oracle.

    ICH E10 calls it assay sensitivity: a test that passes the model before passes all.
    """
    state: GateState = "passed"
    text = "it finds more in the model before than in the oracle by more than the margin"
    if one.mean("oracle") is None:
        state, text = "unknown", "the oracle has no score"  # that is missing, and not blind: nothing is shown
    elif one.mean("before") is None:
        state, text = "failed", "the model before has no score"
    elif control.low is None or control.low <= margin:
        state = "failed"
        text = "it is not shown to find more in the model before than in the oracle by more than the margin"
    return Control(attack=one.attack, value=one.value, name="finds what is there", state=state, text=text)


def _teaches(one: Evidence) -> Control:
    """It must not get from the oracle, which never saw the facts, what it gets from the model before."""
    before, oracle = one.mean("before"), one.mean("oracle")
    state: GateState = "unknown"
    text = "the model before or the oracle has no score"
    if before is not None and oracle is not None:
        state = "failed" if oracle > TAUGHT * before else "passed"
        than = "more than half of" if state == "failed" else "at most half of"
        text = f"it gets {oracle:.2f} from the oracle, {than} the {before:.2f} from the model before"
    return Control(attack=one.attack, value=one.value, name="teaches nothing", state=state, text=text)


def _leaves(one: Evidence) -> Control:
    """A model that the attack changes must still know what should stay: a broken copy gives nothing away.

    Of all models that it was made on; the worst is named.
    """
    shares = {model: now / then for model, (then, now) in one.kept.items() if then > 0}
    state: GateState = "unknown"
    text = "what it leaves of what should stay was not measured in every model"
    if shares and len(shares) == len(one.models):
        worst = min(shares, key=lambda model: shares[model])
        then, now = one.kept[worst]
        state = "passed" if shares[worst] >= KEPT - _ROUNDING else "failed"
        text = (
            f"of what should stay it leaves {shares[worst]:.2f} in its copy of the "
            f"{'oracle' if worst == 'oracle' else f'model {worst}'} ({then:.2f} to {now:.2f}), where {KEPT:g} is asked "
            "for"
        )
    return Control(attack=one.attack, value=one.value, name="leaves what should stay", state=state, text=text)
