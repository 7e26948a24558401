"""The hooks of a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forgetting.core.evaluator import Evaluator, Progress
from forgetting.core.measure import Measure


@dataclass(frozen=True)
class Hooks:
    """Callbacks that the caller provides; the loop imports none of them."""

    evaluate: Evaluator | None = None
    score: Callable[[Sequence[Measure]], float | None] = lambda _: None
    """The one number by which checkpoints are compared; higher is better."""
    reached: Callable[[Sequence[Measure]], bool] | None = None
    """The stop rule: whether an evaluation's measures end the stage; None: there is none."""
    forgotten: Callable[[Sequence[Measure]], bool] = lambda _: False
    """Whether nothing but damage to what should stay keeps the measures from the goal; then only that is trained on."""
    alarm: Callable[[Sequence[Measure]], str | None] | None = None
    """Reads an evaluation's measures; a message means that the model has collapsed, and stops the stage."""
    progress: Progress = lambda done, total, note: None
    track: Callable[[dict[str, float], int], None] = lambda values, step: None
    say: Callable[[str], None] = lambda line: None


NO_HOOKS = Hooks()
