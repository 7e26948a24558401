"""The range of an axis of a sweep's figures."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.report.drawing import svg

P_FLOOR = 1e-12
"""Smaller p-values are drawn here: how far below is of no interest, and the rest needs the room."""


def drawn_range(values: Sequence[float], p_values: bool = False) -> tuple[float, float, bool]:
    """What to draw, and whether by powers of ten: where values above 0 span much, as perplexities of a broken model.

    p-values always are; those below `P_FLOOR` stand at its place.
    """
    if p_values:
        return max(min(values), P_FLOOR) / 3, 3.0, True
    if min(values) > 0 and max(values) > 1 and max(values) > 50 * min(values):
        return min(values) / 1.3, max(values) * 1.3, True
    return *svg.spread(values), False
