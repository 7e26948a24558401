"""What must hold before a low number means forgetting: the model still answers, and still answers in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forgetting.core.measure import Measure
from forgetting.metrics.share import nothing_to_lose

KEPT = 0.9
"""The share of what should stay that must be left; for a measure of which less is better, 1 / KEPT of it at most."""
MORE = 0.05
"""How much larger the share of broken answers may be than before."""
_ROUNDING = 1e-12
GateState = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One condition."""

    name: str
    state: GateState
    before: float | None = None
    after: float | None = None
    text: str
    """What was found, in a sentence."""
    keeps: bool = True
    """Whether it looks at what should stay; answers that are not broken may still all be wrong."""


def kept(before: Measure | None, after: Measure | None, name: str) -> Gate:
    """Whether enough is left of one measure of what should stay; unknown where it was not measured or hardly there."""
    if before is None or after is None or before.value is None or after.value is None:
        return Gate(name=name, state="unknown", text=f"{name} was not measured before and after.")
    then, now = before.value, after.value
    if then <= 0 or nothing_to_lose(before):
        return Gate(name=name, state="unknown", before=then, after=now, text=f"There was hardly any {name} to lose.")
    holds = now <= then / KEPT + _ROUNDING if after.direction == "down" else now >= KEPT * then - _ROUNDING
    limit = f"at most 1/{KEPT:g}" if after.direction == "down" else f"at least {KEPT:g}"
    text = f"{name} was {then:.3g} before and is {now:.3g} after: {now / then:.2f} of it, where {limit} is asked for."
    return Gate(name=name, state="passed" if holds else "failed", before=then, after=now, text=text)


def sound(before: Measure | None, after: Measure | None, name: str) -> Gate | None:
    """Whether broken answers are hardly more than before; None where they were not counted."""
    if before is None or after is None or before.value is None or after.value is None:
        return None
    then, now = before.value, after.value
    text = f"{name}: {then:.3g} of the answers before, {now:.3g} after; {MORE:g} more are allowed."
    state: GateState = "passed" if now <= then + MORE + _ROUNDING else "failed"
    return Gate(name=name, state=state, before=then, after=now, text=text, keeps=False)


def collapsed(gates: Sequence[Gate]) -> bool:
    """Whether a condition failed."""
    return any(gate.state == "failed" for gate in gates)


def unknown(gates: Sequence[Gate]) -> bool:
    """Whether nothing says that the model has not collapsed."""
    return not any(gate.state == "passed" and gate.keeps for gate in gates)
