"""An estimate for every layer as a line of a figure."""

from __future__ import annotations

from collections.abc import Sequence

from forgetting.core.series import Series
from forgetting.metrics.statistics import Estimate


def by_layer(figure: str, name: str, label: str, values: Sequence[Estimate]) -> Series:
    """The line over layers 0, 1, …, with the intervals that there are.

    Args:
        figure: the figure that it belongs to.
        name: the line's label in the legend.
        label: what is estimated, for the axis.
        values: one for each layer.
    """
    bounded = any(v.low is not None for v in values)
    return Series(
        figure=figure,
        name=name,
        x_label="layer",
        y_label=label,
        x=tuple(map(float, range(len(values)))),
        y=tuple(v.value for v in values),
        low=tuple(v.low for v in values) if bounded else (),
        high=tuple(v.high for v in values) if bounded else (),
    )
