"""A split without records of its own: some of the examples of another split."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Which examples of another split a split consists of."""

    of: str
    """The split that keeps the records."""
    ids: tuple[str, ...]
    """`Record.id` of its examples, as the records have them: keyed hashes in a redacted run."""
