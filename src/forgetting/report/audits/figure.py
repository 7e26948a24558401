"""Forgetting against retention after attack: what the worst attack finds more than in the oracle, and what was kept."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from forgetting.audits.certificate.gates import KEPT
from forgetting.audits.certificate.words import interval
from forgetting.core.measure import Measure
from forgetting.report import wording
from forgetting.report.audits.beside import Beside, Row
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import Series
from forgetting.report.drawing.scatter import Mark, Spot, draw
from forgetting.report.verdict.intervals import amount


def after_attack(audits: Beside, drawn: Sequence[Series]) -> Markup | None:
    """One point per run: across, the largest difference to the oracle of all attacks that can tell, with its 90%
    interval; up, what is left of what should stay, with its 95% interval.

    The shaded field is what is asked for: within the margin, and at least `KEPT` of the start. None where no run has
    both values.

    Args:
        audits: of the runs.
        drawn: how each of the runs is drawn, by its place.
    """
    marks = [mark for row in audits.rows if (mark := _mark(row, drawn[row.run])) is not None]
    if not marks:
        return None
    start = next(row.start for row in audits.rows if row.start is not None)
    return plane(marks, margin=audits.margin, start=start)


def plane(marks: Sequence[Mark], *, margin: float, start: Measure) -> Markup:
    """The marks, where across is the difference to the oracle and up what is left of what should stay.

    Args:
        marks: at least one.
        margin: within which the difference should be.
        start: what is left in the model before.
    """
    level = amount(start)
    across = [v for mark in marks for v in mark.x.known] + [-margin, margin]
    up = [v for mark in marks for v in mark.y.known] + [level]
    room = 0.05 * (max(across) - min(across))
    ys = (max(-0.02, min(up) - 0.1), 1.03) if max(up) <= 1 and min(up) >= 0 else svg.spread(up)
    frame = svg.Frame.of(700, 440, (min(across) - room, max(across) + room), ys, right=24)
    title = wording.title(start)
    parts = [
        frame.axes("given away more than the oracle, worst attack (0: as a model that never saw)", title),
        *_asked_for(frame, margin, level),
        *draw(frame, marks, [_room(at, words) for at, words in _hints(frame, level)]),
    ]
    return frame.svg(parts, f"{title} against what the worst attack finds more than in the oracle")


def _mark(row: Row, one: Series) -> Mark | None:
    if row.worst is None or row.worst.difference is None or row.worst.difference.mean is None or row.kept is None:
        return None
    if row.kept.value is None:
        return None
    found, d = row.worst, row.worst.difference
    said = f"{row.state}; worst: {found.attack}, {found.value}: {interval(d)}"
    return Mark(
        one.label, Spot(d.mean or 0.0, d.low, d.high, said), Spot.of(row.kept), f"point s{one.colour}", one.shape
    )


def _asked_for(frame: svg.Frame, margin: float, start: float) -> list[Markup]:
    """The oracle's level, the start's, and the field between the margins above what must be kept."""
    left, right, bottom, top = frame.x(-margin), frame.x(margin), frame.y(KEPT * start), frame.y.end
    note = f"asked for: within {margin:g} of the oracle, at least {KEPT:g} of what was known before"
    return [
        svg.element(
            "rect",
            svg.element("title", note),
            class_="ideal",
            x=left,
            y=top,
            width=right - left,
            height=max(bottom - top, 0.0),
            rx="3",
        ),
        svg.element("line", class_="level", x1=frame.x(0.0), x2=frame.x(0.0), y1=frame.y.start, y2=frame.y.end),
        svg.element("line", class_="level", x1=frame.x.start, x2=frame.x.end, y1=frame.y(start), y2=frame.y(start)),
        *(svg.element("text", words, class_="hint", x=x, y=y) for (x, y), words in _hints(frame, start)),
    ]


def _hints(frame: svg.Frame, start: float) -> list[tuple[tuple[float, float], str]]:
    """The words at the two levels, each with where it begins."""
    return [
        ((frame.x(0.0) + 5, frame.y.start - 6), "oracle"),
        ((frame.x.start + 6, frame.y(start) - 5), "before"),
    ]


def _room(at: tuple[float, float], words: str) -> svg.Box:
    return svg.Box(at[0], at[1] - svg.LINE, at[0] + len(words) * svg.LETTER, at[1] + 4)
