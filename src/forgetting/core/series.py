"""The numbers of a figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line, or one set of points, of a figure: y against x, with an interval if there is one."""

    figure: str
    """The figure it belongs to; series of one figure share its axes."""
    name: str
    """Its label in the legend."""
    x_label: str
    y_label: str
    x: tuple[float | str, ...]
    """Positions on the axis: numbers, or names in order."""
    y: tuple[float | None, ...]
    """None: no value there."""
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    """The 95% interval of each y; empty if there is none."""
    points: bool = False
    """Whether its places are single points, with no line between them."""
