"""The collapse alarm: unlearning losses diverge by design, so every step is watched before the optimiser moves."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from forgetting.core.errors import CollapseError

WINDOW = 3
"""Steps over which the retain loss is averaged, so that one hard batch does not ring."""


@dataclass
class CollapseAlarm:
    """Rings when the loss or gradient is not finite, or the retain loss passes a multiple of its start.

    The start counts as at least 1 nat per token, so that a memorised retain set does not make the alarm nervous.
    """

    multiple: float | None
    start: float | None = None
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def finite(self, step: int, loss: float, gradient_norm: float) -> None:
        """Raises CollapseError if either is NaN or infinite."""
        for name, value in (("loss", loss), ("gradient norm", gradient_norm)):
            if not math.isfinite(value):
                raise CollapseError(
                    f"step {step + 1}: the {name} is {value}; the optimiser was not moved. "
                    "Lower learning_rate or the forget weight"
                )

    def retained(self, step: int, retain_loss: float | None) -> None:
        """Takes the step's retain loss (nats per token; None: no retain term). Raises CollapseError past the limit."""
        if retain_loss is None or self.multiple is None:
            return
        if self.start is None:
            self.start = retain_loss
        self.recent.append(retain_loss)
        limit = self.multiple * max(self.start, 1.0)
        mean = sum(self.recent) / len(self.recent)
        if mean > limit:
            raise CollapseError(
                f"step {step + 1}: the retain loss is {mean:.3g} nats per token, past {limit:.3g} "
                f"({self.multiple:g} × its start of {max(self.start, 1.0):.3g}). Lower learning_rate, "
                "or the forget weight, or set collapse_at: null to go on regardless"
            )

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"start": self.start, "recent": list(self.recent)}

    def restore(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.start = state["start"]
        self.recent = deque(state["recent"], maxlen=WINDOW)
