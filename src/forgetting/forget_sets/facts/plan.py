"""How facts are chosen and divided."""

from __future__ import annotations

from dataclasses import dataclass

from forgetting.forget_sets.facts.clean import Several
from forgetting.forget_sets.facts.popularity import Combine
from forgetting.forget_sets.facts.splits import MATCHED, Key


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a build of facts is asked for."""

    popularity: str = "degree"
    """A measure that the facts bring, `degree`, or a table."""
    date: str = ""
    """Of the popularity."""
    combine: Combine = "subject"
    several: Several = "drop"
    leaks: bool = False
    percents: tuple[float, ...] = (5.0,)
    """N of the splits."""
    matched: tuple[Key, ...] = MATCHED
    """In what rare and popular facts of the matched splits agree; nothing: there are none."""
    most: int | None = None
    """Facts of one answer on a side of a matched split, at most."""
    shots: int = 3
    """Facts that are shown before each question, and used for nothing else."""
    ask: int | None = None
    """Of the facts so many are drawn and asked; None: all."""
    fast: int | None = None
    """Of what is retained so many are drawn for quick measurement; None: no such set."""
    seed: int = 0
