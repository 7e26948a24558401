"""Log lines and progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forgetting.core.evaluator import Progress
from forgetting.core.text import plain


def _silent(done: int, total: int, note: str) -> None:
    return None


@dataclass(frozen=True)
class Voice:
    """Provided by the caller that started the work; silent by default. What it says is plain text."""

    say: Callable[[str], None] = lambda line: None
    """Logs a line: a warning, the start of a stage, a file written."""
    progress: Progress = _silent
    """Reports `done` of `total`, with a short note."""

    def __post_init__(self) -> None:
        say, progress = self.say, self.progress
        object.__setattr__(self, "say", lambda line: say(plain(line)))
        object.__setattr__(self, "progress", lambda done, total, note: progress(done, total, plain(note)))

    def part(self, number: int, of: int) -> Voice:
        """Of work done in `of` equal parts, the voice of one of them, counted from 0: its progress is the whole's."""
        progress = self.progress
        return Voice(self.say, lambda done, total, note: progress(number * total + done, of * total, note))


def minutes(seconds: float) -> str:
    """A time in words for a line of progress: `4 min`, `2 h`."""
    whole = max(1, round(seconds / 60))
    return f"{whole} min" if whole < 100 else f"{whole / 60:.0f} h"


SILENT = Voice()
