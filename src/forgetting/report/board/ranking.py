"""Which methods of a board are best by a measure, as far as intervals tell them apart; no order is said beyond that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.metrics.statistics import FEWEST
from forgetting.report import wording
from forgetting.report.board.methods import Method
from forgetting.report.verdict.distance import distance_to_oracle
from forgetting.report.verdict.intervals import amount, relation
from forgetting.report.verdict.paired import Side
from forgetting.runs.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Best:
    """What one measure says of the methods."""

    key: str
    first: int | None
    """The row whose value is best; None: nothing is said."""
    tied: tuple[int, ...] = ()
    """The rows that are not told apart from it."""
    title: str = ""
    statement: str = ""
    """What it says: `npo is best, told apart from the others`; empty where it says nothing."""


def best(key: str, rows: Sequence[Method]) -> Best:
    """The best row by a measure, and those not told apart from it: their intervals meet, or there are none."""
    found = [(place, m) for place, row in enumerate(rows) if (m := row.cell(key).measure) is not None]
    found = [(place, m) for place, m in found if m.value is not None]
    if len(found) < 2 or found[0][1].direction == "none":
        return Best(key, None)
    first, tied = _near(key, rows, found) if found[0][1].direction == "oracle" else _high(found)
    if first is None:
        return Best(key, None)
    title = wording.title(found[0][1])
    return Best(key, first, tuple(tied), title, _statement(found, first, tied, [row.label for row in rows]))


def _high(found: Sequence[tuple[int, Measure]]) -> tuple[int, list[int]]:
    sign = -1.0 if found[0][1].direction == "down" else 1.0
    (first, top), *others = sorted(found, key=lambda pair: -sign * amount(pair[1]))
    return first, [place for place, m in others if relation(m, top) in ("overlap", "unclear")]


def _near(key: str, rows: Sequence[Method], found: Sequence[tuple[int, Measure]]) -> tuple[int | None, list[int]]:
    """By how far the values are from the oracle's."""
    away = []
    for place, measure in found:
        run = rows[place].entries[0].run
        mean = Side(run, Evaluation(point="after", measures=(measure,)))
        distance = distance_to_oracle(rows[place].label, mean, Side(run, run.oracle_evaluation), key)
        if distance is not None:
            away.append((place, distance))
    if len(away) < 2:
        return None, []
    (first, nearest), *others = sorted(away, key=lambda pair: pair[1].value)
    few = min(d.measure.count for _, d in away) < FEWEST
    return first, [place for place, d in others if few or d.low <= nearest.high]


def _statement(found: Sequence[tuple[int, Measure]], first: int, tied: Sequence[int], labels: Sequence[str]) -> str:
    better = "closest to the oracle" if found[0][1].direction == "oracle" else "best"
    if len(tied) == len(found) - 1:
        return f"{wording.join([labels[place] for place, _ in found])} are not told apart"
    if tied:
        names = wording.join([labels[first], *(labels[place] for place in tied)])
        return f"{names} are {better}, and not told apart from one another"
    return f"{labels[first]} is {better}, told apart from the others"
