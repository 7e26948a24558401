"""A board's figure: what the worst attack finds more than in the oracle, and what is left of what should stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.audits.figure import plane
from forgetting.report.board.attacks import Attacked
from forgetting.report.board.methods import Method
from forgetting.report.drawing.curves import legend_mark, styled
from forgetting.report.drawing.scatter import Mark, Spot
from forgetting.report.verdict.intervals import value_at


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing of methods."""

    drawing: Markup
    legend: tuple[tuple[str, Markup], ...]
    """The name and the mark of each method in it."""


def after_attack(rows: Sequence[Method], audits: Attacked) -> Figure | None:
    """One point per method, at the numbers of its row: across the worst attack, up what should stay.

    None where no method has both.
    """
    runs = [entry.run for row in rows for entry in row.entries]
    key = headline_measures.retention_key(runs)
    start = next((m for run in runs if (m := value_at(run.before, key)) is not None), None)
    if key is None or start is None or start.value is None:
        return None
    styles = styled([row.label for row in rows])
    marks, legend = [], []
    for row, one, (_, worst) in zip(rows, styles, audits.cells, strict=True):
        kept = row.cell(key).measure
        if worst.measure is None or kept is None or kept.value is None:
            continue
        across = _across(worst.measure, worst.spread)
        marks.append(Mark(one.label, across, Spot.of(kept), f"point s{one.colour}", one.shape))
        legend.append((one.label, legend_mark(one)))
    return Figure(plane(marks, margin=audits.margin, start=start), tuple(legend)) if marks else None


def _across(worst: Measure, attack: str) -> Spot:
    assert worst.value is not None
    return Spot(worst.value, worst.low, worst.high, f"worst: {attack}: {wording.with_interval(worst)}")
