"""Numbers that a figure is drawn from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line, or one set of points, of a figure: y against x, with an interval where there is one."""

    figure: str
    """Which figure it belongs to; series of one figure share its axes."""
    name: str
    """What the legend calls it."""
    x_label: str
    y_label: str
    x: tuple[float | str, ...]
    """Places on the axis: numbers, or names in their order."""
    y: tuple[float | None, ...]
    """None: no value there."""
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    """The 95% interval of each y; empty where there is none."""
