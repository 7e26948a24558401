"""Audits of several runs beside each other: what each attack finds more than in the oracle; what failed comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forgetting.audits.certificate.reading import found_in, read_statement
from forgetting.audits.certificate.verdict import Found
from forgetting.audits.certificate.words import number
from forgetting.core.measure import Measure
from forgetting.report import headline_measures, wording
from forgetting.report.certificate import TONES
from forgetting.report.verdict.intervals import value_at
from forgetting.runs.audits import own_name
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results, labels

_FIRST = ("refuted", "uninterpretable", "not shown", "shown")
"""Verdicts in the order of the table."""
_WORST = ("refuted", "not shown", "shown", "blind")
"""States of an attack's values: the one that the table shows is the first of these."""
LESS = "not shown: less"
"""Of an attack that finds less than in the oracle, by more than the margin."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One attack on one run's model."""

    text: str
    """How much more than in the oracle; a dash where there is nothing to compare."""
    interval: str
    state: str
    value: str
    """Which value of each fact was compared."""
    tone: str


@dataclass(frozen=True, slots=True)
class Row:
    """One run's audit."""

    run: int
    """Its place among the runs."""
    state: str
    tone: str
    line: str
    worst: Found | None
    """The value by which it gives away most more than the oracle, of attacks that can tell."""
    kept: Measure | None
    start: Measure | None
    """What should stay: after, and before."""
    damaged: bool
    """Whether it lost more of what should stay than is allowed."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """The audits that can be compared."""

    attacks: tuple[str, ...]
    rows: tuple[Row, ...]
    margin: float
    facts: int
    subjects: int
    left_out: tuple[str, ...]
    """Which runs are not in the table, and why: a sentence each."""


def beside(runs: Sequence[Results]) -> Beside | None:
    """The audits of several runs in one table, those alone that are of the same facts, oracle and margin.

    What most of them have in common is taken; of equally many, what the first ones have. None: fewer than two compare.

    Raises:
        RunError: a certificate is damaged.
    """
    names = labels(runs)
    audits = [audit_of(place, run, names[place]) for place, run in enumerate(runs)]
    known = [audit for audit in audits if audit is not None and "oracle" in audit.said["models"]]
    kinds = [audit.kind for audit in known]
    if not kinds:
        return None
    most = max(kinds, key=lambda kind: (kinds.count(kind), -kinds.index(kind)))
    same = [audit for audit in known if audit.kind == most]
    if len(same) < 2:
        return None
    every = dict.fromkeys(found.attack for audit in same for found in audit.found)
    attacks = [attack for attack in every if own_name(attack) == attack]
    how = {name: next(audit.how[name] for audit in same if name in audit.how) for name in attacks}
    rows = sorted((_row(audit, attacks, how) for audit in same), key=_order)
    out = [why_not(audit, most, name) for audit, name in zip(audits, names, strict=True)]
    said = same[0].said
    return Beside(
        attacks=tuple(attacks),
        rows=tuple(rows),
        margin=said["margin"],
        facts=said["facts"],
        subjects=said["subjects"],
        left_out=tuple(sentence for sentence in out if sentence),
    )


@dataclass(frozen=True, slots=True)
class Audit:
    """The certificate of one run."""

    place: int
    name: str
    run: Results
    said: Mapping[str, Any]
    found: tuple[Found, ...]

    @property
    def kind(self) -> dict[str, object]:
        """What two audits must have in common to be compared, each with its words."""
        data = self.run.data.get("forget", {})
        return {
            "other facts": (data.get("sha256"), self.said["facts"]),
            "another oracle": self.said["models"].get("oracle"),
            "another margin": self.said["margin"],
        }

    @property
    def how(self) -> dict[str, object]:
        """By attack, its parameters, its seed, and which values were compared."""
        keys = ("parameters", "seed", "values")
        return {str(attack["name"]): tuple(attack.get(key) for key in keys) for attack in self.said["attacks"]}


def audit_of(place: int, run: Results, name: str) -> Audit | None:
    """The certificate of a run; None if it has none.

    Raises:
        RunError: it is damaged.
    """
    file = RunPaths(run.folder).certificate_file
    if not file.is_file():
        return None
    statement = read_statement(file)
    return Audit(place, name, run, statement["predicate"], found_in(statement, file))


def why_not(audit: Audit | None, kind: Mapping[str, object], name: str) -> str:
    """Why a run is not in the table; empty if it is."""
    if audit is None:
        return f"{name} was not audited."
    if "oracle" not in audit.said["models"]:
        return f"{name} was audited without an oracle, so there is nothing to compare with."
    other = [what for what, value in audit.kind.items() if value != kind[what]]
    return f"{name} was audited with {wording.join(other)}." if other else ""


def _row(audit: Audit, attacks: Sequence[str], how: Mapping[str, object]) -> Row:
    state = str(audit.said["verdict"])
    key = headline_measures.retention_key([audit.run])
    return Row(
        run=audit.place,
        state=state,
        tone=TONES.get(state, "open"),
        line=str(audit.said["line"]),
        worst=worst_of(audit.found),
        kept=value_at(audit.run.after, key),
        start=value_at(audit.run.before, key),
        damaged=any(gate.get("state") == "failed" for gate in audit.said.get("gates", [])),
        cells=tuple(_cell(audit, attack, how[attack]) for attack in attacks),
    )


def worst_of(found: Sequence[Found]) -> Found | None:
    """The largest difference of what is refuted; where nothing is, of all that can tell."""
    seeing = [f for f in found if f.state != "blind" and f.difference is not None and f.difference.mean is not None]
    refuted = [f for f in seeing if f.state == "refuted"]
    return max(refuted or seeing, key=_mean, default=None)


def _cell(audit: Audit, attack: str, how: object) -> Cell:
    own = [found for found in audit.found if found.attack == attack]
    if not own:
        return Cell("—", "", "not run", "", "note")
    if audit.how.get(attack) != how:
        return Cell("—", "", "other settings", "", "note")
    found = min(own, key=lambda f: (_place(f.state, _WORST), -abs(_mean(f))))
    difference = found.difference
    low, high = (None, None) if difference is None else (difference.low, difference.high)
    less = found.state == "not shown" and high is not None and high < -audit.said["margin"]
    return Cell(
        text=wording.ABSENT if difference is None else _signed(difference.mean),
        interval="" if low is None or high is None else f"{number(low)} … {number(high)}",
        state=LESS if less else found.state,
        value=found.value,
        tone=TONES.get(found.state, "note"),
    )


def _order(row: Row) -> tuple[int, float]:
    return _place(row.state, _FIRST), -_mean(row.worst)


def _place(state: str, order: Sequence[str]) -> int:
    return order.index(state) if state in order else len(order)


def _mean(found: Found | None) -> float:
    difference = None if found is None else found.difference
    return -1.0 if difference is None or difference.mean is None else difference.mean


def _signed(value: float | None) -> str:
    text = number(value)
    return f"+{text}" if value is not None and value > 0 and text != "0.00" else text
