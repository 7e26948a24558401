"""The numbers of a map: one value for each pair of two lists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Values between 0 and 1 of every row with every column."""

    name: str
    """What it is of, such as a role."""
    label: str
    """What a value is."""
    x_label: str
    """What the columns are."""
    y_label: str
    """What the rows are."""
    values: tuple[tuple[float | None, ...], ...]
    """By row, from the first. None: there is no value that would say something."""
    marks: tuple[tuple[str, float], ...] = ()
    """Values to compare with, by their names: what unrelated things give, and two readings of one thing."""
    reason: str = ""
    """Why a value is missing."""
