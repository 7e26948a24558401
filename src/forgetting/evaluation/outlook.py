"""How far a costly measure is, and what it will take: said once, from what its first part took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from forgetting.core.processes import count
from forgetting.core.progress import Voice, minutes
from forgetting.evaluation.cache import Row

COSTLY = 45.0
"""Seconds from which it is said."""
TIMED = 2.0
"""Seconds of work that are timed first."""


class Outlook:
    """The time of work whose amount is known in a unit of its own, such as tokens.

    Args:
        say: receives the line.
        clock: seconds; any start.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock, self._began = say, clock, clock()
        self._done, self._said = 0.0, False

    def note(self, work: float, total: float, what: str) -> None:
        """Notes that so much more of `total` is done; says what all will take if that is long and not said yet.

        Args:
            work: done since the last call.
            total: as known now.
            what: `forget: continuations of 80 passages, 3,200 prefixes`.
        """
        self._done += work
        seconds = self._clock() - self._began
        if self._said or seconds < TIMED or not 0 < self._done < total:
            return
        whole = seconds / self._done * total
        if whole >= COSTLY:
            self._said = True
            self._say(f"{what}: about {minutes(whole)}")


class Continuing:
    """How far the continuations of one process's batches are.

    Args:
        lengths: of the sequences to continue, by batch.
        voice: receives progress in sequences, and once what all will take.
        split: what the sequences are of.
        clock: seconds; any start.
    """

    def __init__(
        self,
        lengths: Sequence[Sequence[int]],
        voice: Voice,
        split: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._outlook, self._split = voice.progress, Outlook(voice.say, clock), split
        self._sizes = [len(batch) for batch in lengths]
        self._most = [sum(length**2 for length in batch) for batch in lengths]  # as if no prefix were continued rightly
        self._batch = self._prefixes = self._known = self._rows = self._left = 0

    def begun(self, rows: Sequence[Row]) -> None:
        """The next batch begins; these are its prefixes to write from."""
        self._prefixes += len(rows)
        self._known += _tokens(rows)
        self._rows = self._left = len(rows)

    def written(self, group: Sequence[Row]) -> None:
        """Some of its rows are written."""
        self._left -= len(group)
        grown = sum(self._most) / sum(self._most[: self._batch + 1])
        passages, prefixes = sum(self._sizes) * count(), round(grown * self._prefixes) * count()
        what = f"{self._split}: continuations of {passages:,} passages, {prefixes:,} prefixes"
        self._outlook.note(_tokens(group), grown * self._known, what)
        self._say(round(self._sizes[self._batch] * (1 - self._left / self._rows)))

    def ended(self) -> None:
        """The batch is done."""
        self._batch += 1
        self._say(0)

    def _say(self, more: int) -> None:
        total = sum(self._sizes)
        if total:
            done = sum(self._sizes[: self._batch]) + more
            self._progress(done * count(), total * count(), "continuations")


def _tokens(rows: Sequence[Row]) -> int:
    return sum(row.stop - row.start for row in rows)
