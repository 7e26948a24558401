"""What the audits of a board's runs say, as two columns: the verdict, and the worst attack less the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.core.measure import Measure
from forgetting.report import wording
from forgetting.report.audits.beside import Audit, audit_of, worst_of
from forgetting.report.board.methods import Method
from forgetting.report.table import Cell, Column

VERDICT = Column("audit/verdict", "audit", "verdict", "audit · verdict", "", "What the audit of the run shows.")
WORST = Column(
    "audit/worst",
    "audit",
    "worst attack",
    "audit · worst attack",
    "less the oracle, 90% ↓",
    "How much more the attack that came out worst gets out of the model than out of the oracle, with a 90% interval "
    "over subjects; of several seeds that of the worst.",
)
_NONE = "not audited"
_ORACLE = "another oracle"
"""In an audit's kind, the digest of the oracle; None where it had none."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """What the audits of all rows say."""

    cells: tuple[tuple[Cell, Cell], ...]
    """Of each row the cells of `VERDICT` and `WORST`."""
    margin: float
    """Of the audits that compare."""


def attacked(rows: Sequence[Method]) -> Attacked | None:
    """What the audits say; None where no run was audited.

    Raises:
        RunError: a certificate is damaged.
    """
    audits = [[audit_of(0, entry.run, entry.name) for entry in row.entries] for row in rows]
    known = [audit for found in audits for audit in found if audit is not None]
    if not known:
        return None
    beside_one = [_kind(audit) for audit in known if audit.kind[_ORACLE] is not None]
    kinds = beside_one or [_kind(audit) for audit in known]  # without an oracle there is nothing to compare
    most = max(kinds, key=lambda kind: (kinds.count(kind), -kinds.index(kind)))
    cells = tuple((_verdict(found), _worst(found, most)) for found in audits)
    return Attacked(cells, next(audit.said["margin"] for audit in known if _kind(audit) == most))


def _kind(audit: Audit) -> dict[str, object]:
    """What audits must have in common for their worst to compare, each with its words."""
    return {**audit.kind, "other attacks": audit.how}


def _verdict(found: Sequence[Audit | None]) -> Cell:
    """`refuted`; of several seeds `2 of 3 refuted, 1 not audited`."""
    said = [_NONE if audit is None else str(audit.said["verdict"]) for audit in found]
    if all(word == _NONE for word in said):
        return Cell(None, _NONE)
    if len(said) == 1:
        return Cell(None, words=said[0])
    counted = [f"{said.count(word)} of {len(said)} {word}" for word in dict.fromkeys(said)]
    return Cell(None, words=", ".join(counted))


def _worst(found: Sequence[Audit | None], most: dict[str, object]) -> Cell:
    known = [audit for audit in found if audit is not None]
    if not known:
        return Cell(None, _NONE)
    others = [
        "no oracle" if what == _ORACLE and value is None else what
        for audit in known
        for what, value in _kind(audit).items()
        if value != most[what]
    ]
    if others:
        return Cell(None, f"audited with {wording.join(list(dict.fromkeys(others)))}")
    worst = [w for audit in known if (w := worst_of(audit.found)) is not None and w.difference is not None]
    told = [(w, w.difference.mean) for w in worst if w.difference is not None and w.difference.mean is not None]
    if not told:
        return Cell(None, "no attack can tell, or there is no oracle")
    one, mean = max(told, key=lambda pair: pair[1])
    assert one.difference is not None
    measure = Measure(
        name="worst attack less the oracle",
        split="audit",
        value=mean,
        count=one.difference.facts,
        low=one.difference.low,
        high=one.difference.high,
        direction="down",
        meaning=f"{WORST.meaning} Here: {one.attack}, {wording.plain(one.value)}.",
    )
    return Cell(measure, spread=one.attack)
