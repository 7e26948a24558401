"""The collapse alarm: unlearning losses diverge by design, so every step is checked before the optimiser moves."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forgetting.core.errors import CollapseError

WINDOW = 3
"""Steps over which a retain loss is averaged, so that one hard batch does not ring the alarm."""

_KNOWS = 0.8
"""A model whose loss is below this share of a guess's knows something that it can lose."""


@dataclass
class Watched:
    """One retain loss: its first value and the latest ones, nats per token."""

    start: float
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))


@dataclass
class CollapseAlarm:
    """Rings when the loss or gradient is not finite, or a retain loss passes a multiple of its start.

    A start is treated as at least 1 nat per token, so that a memorised retain set causes no false alarms. A divergence,
    which starts at 0, therefore rings at `multiple` nats.
    """

    multiple: float | None
    watched: dict[str, Watched] = field(default_factory=dict)
    """By the term's label."""

    def finite(self, step: int, loss: float, gradient_norm: float) -> None:
        """Raises CollapseError if either is NaN or infinite."""
        for name, value in (("loss", loss), ("gradient norm", gradient_norm)):
            if not math.isfinite(value):
                raise CollapseError(
                    f"step {step + 1}: the {name} is {value}; the optimiser was not moved. "
                    "Lower learning_rate or the forget weight"
                )

    def learned(self, losses: Mapping[str, float]) -> None:
        """Adds the step's losses of what is learned by label, nats per token, for `updated`: they may rise."""
        for label, loss in losses.items():
            self.watched.setdefault(label, Watched(loss)).recent.append(loss)

    def updated(
        self, step: int, loss: float, losses: Mapping[str, float], broken: Sequence[str], *, guessing: float = math.inf
    ) -> None:
        """Raises CollapseError if the weights after the last update are not a model any more.

        The next step would see it; after the last one, and before a measurement, there is none.

        Args:
            step: 1-based, the one whose update is judged.
            loss: of the step's examples after the update.
            losses: its losses of what is to be kept or learned, by label, nats per token.
            broken: the names of trained weights that are NaN or infinite.
            guessing: the loss of equal probabilities, ln V, which overflowing weights end at however large they are.
        """
        after = f"step {step}: after its update"
        mend = "Lower learning_rate or the forget weight"
        if broken:
            raise CollapseError(f"{after}, {len(broken)} weights hold NaN or infinity, first {broken[0]}. {mend}")
        if not math.isfinite(loss):
            raise CollapseError(f"{after}, the loss is {loss}. {mend}")
        if self.multiple is None:
            return
        for label, value in losses.items():
            watched = self.watched.get(label, Watched(value))
            recent = [*watched.recent, value][-WINDOW:]
            limit, mean = self.multiple * max(watched.start, 1.0), sum(recent) / len(recent)
            if watched.start < _KNOWS * guessing and value > guessing - 0.01:
                raise CollapseError(
                    f"{after}, the {label} loss is {value:.3g} nats per token, as if the model guessed (it was "
                    f"{watched.start:.3g}). {mend}, or set collapse_at: null to continue regardless"
                )
            if not mean <= limit:
                raise CollapseError(
                    f"{after}, the {label} loss is {mean:.3g} nats per token, past {limit:.3g} ({self.multiple:g} × "
                    f"its start). {mend}, or set collapse_at: null to continue regardless"
                )

    def retained(self, step: int, losses: Mapping[str, float]) -> None:
        """Adds the step's retain losses by label, nats per token. Raises CollapseError if one is above its limit."""
        if self.multiple is None:
            return
        for label, loss in losses.items():
            watched = self.watched.setdefault(label, Watched(loss))
            watched.recent.append(loss)
            start = max(watched.start, 1.0)
            mean = sum(watched.recent) / len(watched.recent)
            if mean > self.multiple * start:
                raise CollapseError(
                    f"step {step + 1}: the {label} loss is {mean:.3g} nats per token, past {self.multiple * start:.3g} "
                    f"({self.multiple:g} × its start of {start:.3g}). Lower learning_rate, "
                    "or the forget weight, or set collapse_at: null to continue regardless"
                )

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {label: {"start": w.start, "recent": list(w.recent)} for label, w in self.watched.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        self.watched = {
            label: Watched(its["start"], deque(its["recent"], maxlen=WINDOW)) for label, its in state.items()
        }
