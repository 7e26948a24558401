"""The contents of `selection.json`: which answer tokens a stage learns and which it forgets, and their quality."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from forgetting.runs.reading import as_typed

Sign = Literal[1, 0, -1]
"""1: learnt, 0: ignored, −1: forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One answer token; `q` is None if it could not be scored."""

    text: str = ""
    q: float | None = None
    sign: Sign = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredExample:
    """One example that was drawn for inspection."""

    key: str = ""
    where: str = ""
    prompt: str = ""
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LowToken:
    """One of the tokens with the lowest Q, in its context."""

    key: str = ""
    before: str = ""
    token: str = ""
    after: str = ""
    q: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTokens:
    """The number of answer tokens of one source, and how many of them are negative."""

    source: str
    tokens: int = 0
    negative: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts between neighbouring edges of Q, and the counts below the first and above the last."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.counts)} counts need {len(self.counts) + 1} edges, not {len(self.edges)}")
        if not all(math.isfinite(edge) for edge in self.edges):
            raise ValueError("an edge is not a finite number")

    @property
    def total(self) -> int:
        """The total count, inside and outside the edges."""
        return sum(self.counts) + self.below + self.above


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and standard deviation of Q, nats."""

    mean: float | None = None
    std: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSelection:
    """The selection from a corpus. None if the file does not have the value.

    Threshold, ties, share above zero, moments and histogram describe the selected units: tokens, or at level `sequence`
    whole answers by the mean of their tokens. `positive`, `negative` and `ignored` always count tokens.
    """

    reference: str | None = None
    level: str = "token"
    asked: float | str | None = None
    share: float | None = None
    forget_rate: float | str | None = None
    share_positive: float | None = None
    share_above_zero: float | None = None
    threshold: float | None = None
    ties: int | None = None
    tokens: int | None = None
    positive: int | None = None
    negative: int | None = None
    ignored: int | None = None
    rows: int | None = None
    seed: int | None = None
    forget_by: str | None = None
    quality: Moments = Moments()
    histogram: Histogram | None = None
    sources: tuple[SourceTokens, ...] = ()
    examples: tuple[ScoredExample, ...] = ()
    lowest: tuple[LowToken, ...] = ()
    notes: tuple[str, ...] = ()
    redacted: bool = False
    """Whether tokens are stored without their texts."""
    noise: Mapping[str, Any] | None = None
    """How well quality detects tokens that are known to be wrong; None if that is unknown."""

    @property
    def of_tokens(self) -> bool:
        """Whether single tokens were selected, and not whole answers."""
        return self.level != "sequence"

    @property
    def unit(self) -> str:
        """The name of the selected units, in the plural."""
        return "tokens" if self.of_tokens else "answers"


MEND = "select the tokens again"
_SELECTION = TypeAdapter(TokenSelection)


def read_selection(raw: Mapping[str, Any], place: str) -> TokenSelection:
    """Reads a selection; `place` is the file that an error names.

    Raises:
        RunError: a key has a wrong value.
    """
    return as_typed(_SELECTION, raw, place, MEND)
