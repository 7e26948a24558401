"""The trials of a tuning as typed values: what was tried, what came of it, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["complete", "pruned", "failed"]
Setting = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One point of a method's space and its outcome."""

    method: str
    number: int
    """From 0, within its method."""
    name: str
    """Of its run's folder, below the tuning's."""
    point: Mapping[str, Setting]
    """Value by key of the tuned stage."""
    state: State
    value: float | None = None
    """The balance on the selection half after the last stage; None if it did not come so far."""
    steps: Mapping[int, float] = field(default_factory=dict)
    """The balance on the way, by step."""
    note: str = ""
    """Why it was pruned, or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the settings of each method were sought, and what was found."""

    stage: str
    """The name of the tuned stage."""
    budget: int
    """Trials of each method."""
    rule: str
    """What is chosen by, in a sentence."""
    space: Mapping[str, Mapping[str, str]]
    """By method and key, where it was sought, in words."""
    facts: Mapping[str, tuple[int, int]]
    """By split, the source facts that were chosen by, and those that are reported."""
    balanced: tuple[str, ...] = ()
    """The splits that the balance compares."""
    trials: tuple[Trial, ...]
    chosen: Mapping[str, str]
    """The name of each method's best trial; a method without one is left out."""

    ends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By method, the keys whose chosen value is at an end of its range."""

    def best(self, method: str) -> Trial | None:
        """The trial whose settings were chosen."""
        return next((trial for trial in self.trials if trial.name == self.chosen.get(method)), None)

    def of(self, method: str) -> tuple[Trial, ...]:
        """The trials of a method, in order."""
        return tuple(trial for trial in self.trials if trial.method == method)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that some method's trials set."""
        return tuple(dict.fromkeys(key for trial in self.trials for key in trial.point))


def best_of(trials: tuple[Trial, ...] | list[Trial]) -> Trial | None:
    """The complete trial with the highest balance, the first of equals; None if none has one."""
    measured = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    return max(measured, key=lambda trial: trial.value or 0.0, default=None)
