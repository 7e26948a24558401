"""The report's section on rare and popular facts: sentences, small figures, and a table of slopes and halves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from forgetting.core.measure import Measure
from forgetting.core.series import Series
from forgetting.metrics.popularity import ByPopularity, Effect
from forgetting.report import wording
from forgetting.report.drawing import curves, svg
from forgetting.report.verdict.popularity import popularity_of, sentences, tested
from forgetting.runs.results import Results

COLUMNS = (
    "rare",
    "popular",
    "popular − rare",
    "per tenfold",
    "per tenfold, in each half",
    "popular − rare, matched",
    "per tenfold, matched",
)
_MOST_BANDS = 4
"""Runs up to which intervals are shaded; those of more hide each other."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A measure as text."""

    value: str
    interval: str
    count: str
    reason: str

    @classmethod
    def of(cls, measure: Measure | None) -> Cell:
        """Ends of intervals are joined by a word: those of differences may be negative."""
        if measure is None:
            return cls(wording.ABSENT, "", "", "not measured by the version that made the run")
        ends = (measure.low, measure.high)
        joined = "" if None in ends else " to ".join(map(wording.number, ends))
        return cls(wording.number(measure.value), joined, wording.count(measure.count), measure.reason)


@dataclass(frozen=True, slots=True)
class Table:
    """The effects on one split of one run."""

    run: int
    split: str
    note: str
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]
    """Name, meaning, and its cells in the order of `COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Section:
    """Everything that the section shows."""

    sentences: tuple[tuple[int, str], ...]
    """With the number of the run."""
    panels: tuple[curves.Panel, ...]
    tables: tuple[Table, ...]
    changes: bool
    """Whether there is a model before to compare with."""
    tested: bool
    """Whether a sentence could have been said: facts that were to be forgotten differ in popularity."""
    columns: tuple[str, ...] = COLUMNS


def section(runs: Sequence[Results]) -> Section | None:
    """The section; None where no run has facts that differ in popularity."""
    found = [popularity_of(run) for run in runs]
    if not any(found):
        return None
    tables = [_table(number, one) for number, several in enumerate(found) for one in several]
    return Section(
        sentences=tuple((number, text) for number, run in enumerate(runs) for text in sentences(run)),
        panels=tuple(_panels(runs, found)),
        tables=tuple(tables),
        changes=any(one.changes for several in found for one in several),
        tested=any(tested(run) for run in runs),
    )


def _table(number: int, found: ByPopularity) -> Table:
    notes = [f"rare: popularity up to {wording.number(found.median)}"]
    if found.unknown:
        notes.append(f"{wording.count(found.unknown)} facts left out that the model did not say before")
    if found.left_out:
        notes.append(f"{wording.count(found.left_out)} without a popularity above 0")
    rows = tuple((wording.plain(e.outcome), e.meaning, _cells(e)) for e in found.effects)
    return Table(number, found.split, "; ".join(notes), rows)


def _cells(effect: Effect) -> tuple[Cell, ...]:
    measures = (
        effect.rare,
        effect.popular,
        effect.difference,
        effect.slope,
        effect.within_slope,
        effect.matched_difference,
        effect.matched_slope,
    )
    return tuple(map(Cell.of, measures))


def _panels(runs: Sequence[Results], found: Sequence[Sequence[ByPopularity]]) -> list[curves.Panel]:
    """One small figure for each split and measure; a run in its colour, its model before dashed."""
    keys = dict.fromkeys((one.split, series.figure) for several in found for one in several for series in one.series)
    return [_panel(runs, found, split, figure) for split, figure in keys]


def _panel(runs: Sequence[Results], found: Sequence[Sequence[ByPopularity]], split: str, figure: str) -> curves.Panel:
    drawn = [
        (style, series)
        for style, several in zip(curves.series(runs), found, strict=True)
        for one in several
        if one.split == split
        for series in one.series
        if series.figure == figure
    ]
    places = [float(x) for _, series in drawn for x in series.x]
    values = [v for _, s in drawn for v in (*s.y, *s.low, *s.high) if v is not None]
    frame = svg.Frame.of(340, 230, _range(places), svg.spread(values), right=46, log_x=True)
    parts = [frame.axes("popularity, log scale", "", x_ticks=4)]
    if len(runs) <= _MOST_BANDS:
        after = [(style, series) for style, series in drawn if series.name == "after"]
        parts += [frame.band(_ends(series), f"band s{style.colour}") for style, series in after]
    for style, series in drawn:
        parts += _line(frame, style, series)
    title = f"{wording.plain(split)}: {wording.plain(figure)}"
    return curves.Panel(title, frame.svg(parts, f"{title} against popularity"))


def _range(places: Sequence[float]) -> tuple[float, float]:
    return min(places) / 1.25, max(places) * 1.25


def _line(frame: svg.Frame, style: curves.Series, series: Series) -> list[Markup]:
    points = [(float(x), y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
    dashes = " dash1" if series.name == "before" else ""
    parts = [frame.line(points, f"curve s{style.colour}{dashes}")]
    for x, y in points:
        note = f"{style.label}, {series.name}: {wording.amount_text(y)} at popularity {wording.number(x)}"
        size = 3.0 if series.name == "before" else 4.5
        parts.append(svg.marker(style.shape, frame.x(x), frame.y(y), f"point s{style.colour}", note, r=size))
    return parts


def _ends(series: Series) -> Iterator[tuple[float, float | None, float | None]]:
    return zip(map(float, series.x), series.low, series.high, strict=True)
