"""How long work speaks: lines that stay, and progress that moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forgetting.core.evaluator import Progress


def _silent(done: int, total: int, note: str) -> None:
    return None


@dataclass(frozen=True)
class Voice:
    """Given by whoever started the work; silent by default."""

    say: Callable[[str], None] = lambda line: None
    """A line that stays: a warning, a stage begun, a file written."""
    progress: Progress = _silent
    """`done` of `total`, with a short note."""


SILENT = Voice()
