"""The section on the audit of a run, from its certificate: it stands first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetting.audits.certificate.reading import found_in, read_statement
from forgetting.audits.certificate.words import COLUMNS, rows
from forgetting.report.certificate import TONES
from forgetting.runs.paths import RunPaths
from forgetting.runs.results import Results


@dataclass(frozen=True, slots=True)
class Audited:
    """One run's audit."""

    run: int
    """Its place among the runs."""
    line: str
    tone: str
    columns: list[str]
    rows: list[list[str]]
    limits: list[str]
    date: str


def audited(runs: Sequence[Results]) -> list[Audited]:
    """The audits of those runs that have a certificate.

    Raises:
        RunError: a certificate is damaged.
    """
    return [found for place, run in enumerate(runs) if (found := _audited(place, run)) is not None]


def _audited(place: int, run: Results) -> Audited | None:
    file = RunPaths(run.folder).certificate_file
    if not file.is_file():
        return None
    statement = read_statement(file)
    said = statement["predicate"]
    return Audited(
        run=place,
        line=said["line"],
        tone=TONES.get(said["verdict"], "open"),
        columns=COLUMNS,
        rows=rows(found_in(statement, file)),
        limits=[str(limit) for limit in said["limits"]],
        date=said["date"],
    )
