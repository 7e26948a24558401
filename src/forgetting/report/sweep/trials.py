"""The trials of a tuning: one table for the page, the terminal and other programs, and one figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from forgetting.report import wording
from forgetting.report.drawing import svg
from forgetting.report.drawing.curves import COLOURS
from forgetting.runs.tuning import Setting, Trial, Tuning

_WIDTH, _HEIGHT = 820, 380


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial as words."""

    trial: Trial
    chosen: bool
    settings: tuple[str, ...]
    """One per key of the table; empty where the method has no such key."""

    @property
    def ended(self) -> str:
        """`0.713`, `pruned` or `failed`."""
        return self.trial.state if self.trial.value is None else wording.share(self.trial.value)


@dataclass(frozen=True, slots=True)
class TrialsTable:
    """Every trial, and the keys that were sought."""

    keys: tuple[str, ...]
    rows: tuple[TrialRow, ...]

    def plain(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows of text, for a terminal."""
        rows = [
            [row.trial.method, f"{row.trial.number}{' chosen' if row.chosen else ''}", row.ended, *row.settings]
            for row in self.rows
        ]
        return ["method", "trial", "balance", *(short(key) for key in self.keys)], rows

    def as_json(self) -> list[dict[str, Any]]:
        """Plain values of every trial."""
        return [
            {
                "method": row.trial.method,
                "number": row.trial.number,
                "name": row.trial.name,
                "state": row.trial.state,
                "value": row.trial.value,
                "chosen": row.chosen,
                "point": dict(row.trial.point),
                "steps": {str(step): value for step, value in row.trial.steps.items()},
                "note": row.trial.note,
            }
            for row in self.rows
        ]

    def as_csv(self) -> str:
        """One line per trial; a key that its method does not have is empty."""
        out = io.StringIO()
        names = ["method", "number", "name", "state", "value", "chosen", *self.keys, "note"]
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        for values in self.as_json():
            point = values.pop("point")
            del values["steps"]
            writer.writerow({**values, **point})
        return out.getvalue()


def trials_table(tuning: Tuning) -> TrialsTable:
    """The table of a tuning, in the order of methods and trials."""
    chosen = {*tuning.chosen.values()}
    rows = tuple(
        TrialRow(trial, trial.name in chosen, tuple(_setting(trial.point.get(key)) for key in tuning.keys))
        for trial in tuning.trials
    )
    return TrialsTable(tuning.keys, rows)


def short(key: str) -> str:
    """A key of the stage as a column's words: `beta` for `method.beta`."""
    return wording.plain(key.removeprefix("method."))


def trials_figure(tuning: Tuning) -> Markup | None:
    """The balance of every trial by its number, and the best so far of each method; None without a value."""
    values = [trial.value for trial in tuning.trials if trial.value is not None]
    if not values:
        return None
    most = max(trial.number for trial in tuning.trials) + 1
    frame = svg.Frame.of(_WIDTH, _HEIGHT, (0.6, most + 0.4), svg.spread(values), right=110)
    parts = [frame.axes("trial", "balance, selection half", x_ticks=min(most, 10), x_text=_whole)]
    base = -svg.LINE
    lines = [(place, method, _best_so_far(tuning.of(method))) for place, method in enumerate(tuning.space)]
    for place, method, best in sorted(lines, key=lambda line: frame.y(line[2][-1][1]) if line[2] else 0.0):
        colour = f"s{place % COLOURS}"
        if best:
            parts.append(frame.line([*_stairs(best), (most + 0.4, best[-1][1])], f"curve {colour}"))
            base = max(base + svg.LINE, frame.y(best[-1][1]) + 4)
            parts.append(svg.element("text", method[:14], class_="end", x=frame.x.end + 6, y=base))
        parts += [_mark(frame, trial, place, tuning) for trial in tuning.of(method)]
    return frame.svg(parts, "balance by trial")


def _mark(frame: svg.Frame, trial: Trial, place: int, tuning: Tuning) -> Markup:
    """The trial's value; at the foot, open, one that has none. The chosen one is large."""
    settings = ", ".join(f"{short(key)} {_setting(value)}" for key, value in trial.point.items())
    shape, colour = svg.SHAPES[place % len(svg.SHAPES)], f"s{place % COLOURS}"
    x = frame.x(trial.number + 1)
    if trial.value is None:
        note = f"{trial.name}: {trial.note or trial.state}; {settings}"
        return svg.marker(shape, x, frame.y.start - 4, f"single {colour}", note, r=4.0)
    note = f"{trial.name}: {wording.share(trial.value)}; {settings}"
    size = 8.0 if trial.name == tuning.chosen.get(trial.method) else 4.5
    return svg.marker(shape, x, frame.y(trial.value), f"point {colour}", note, r=size)


def _best_so_far(trials: Sequence[Trial]) -> list[tuple[float, float]]:
    """(number from 1, best value up to there), from the first trial that has one."""
    found: list[tuple[float, float]] = []
    for trial in trials:
        if trial.value is not None and (not found or trial.value > found[-1][1]):
            found.append((trial.number + 1.0, trial.value))
    return found


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stairs = list(points[:1])
    for before, after in pairwise(points):
        stairs += [(after[0], before[1]), after]
    return stairs


def _whole(value: float) -> str:
    return f"{value:g}" if float(value).is_integer() else ""


def _setting(value: Setting | None) -> str:
    return "" if value is None else wording.number(value) if type(value) is float else str(value)
