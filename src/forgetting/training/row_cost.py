"""The cost of a row in FLOPs, as a value: a sum over its tokens, their pairs and its supervised positions.

    FLOPs of a row = a·T + b·T² + c·N        T its tokens, N its supervised positions

`row_counts` finds a, b and c; `flops` multiplies them with the rows of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Group = tuple[str, ...]
"""A role, or the two roles of a pair."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Why there is no count."""

    reason: str


@dataclass(frozen=True, slots=True)
class Work:
    """The sums over rows that determine their cost: ΣT, ΣT² and ΣN."""

    tokens: int = 0
    pairs: int = 0
    supervised: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.tokens + other.tokens, self.pairs + other.pairs, self.supervised + other.supervised)


@dataclass(frozen=True, slots=True)
class RowCost:
    """a·T + b·T² + c·N, in FLOPs."""

    token: int = 0
    pair: int = 0
    supervised: int = 0

    def times(self, factor: int) -> RowCost:
        """The cost of a row that is processed `factor` times."""
        return RowCost(factor * self.token, factor * self.pair, factor * self.supervised)

    def of(self, work: Work) -> int:
        """The FLOPs of these rows."""
        return self.token * work.tokens + self.pair * work.pairs + self.supervised * work.supervised


@dataclass(frozen=True, slots=True)
class RoleCost:
    """The cost of a row of one role in a step."""

    train: RowCost
    """Forward and backward, without the reference."""
    again: int = 0
    """Extra cost per position of a sequence (or a pair) longer than a chunk of the head, if a loss over whole sequences
    processes it twice."""
    reference: RowCost | None = None
    """The reference's own forward."""
    compared: int = 0
    """Per position: the reference's head, applied while the learner runs, for losses over whole distributions."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """The cost of the rows of a stage."""

    groups: Mapping[Group, RoleCost]
    """By role; the two roles of a pair are one group, and their rows cost the same."""
    forward: RowCost
    """Scoring a row with the trained model."""
    chunk: int
    """Positions per chunk of the head."""
    stored: bool
    """Whether the reference is computed once, and not in every step."""
