"""The register of a run: its own request, and those of the runs that its model comes from."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role
from forgetting.pipeline.finished_run.examples import data_of
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.pipeline.run.earlier import earlier_runs
from forgetting.pipeline.run.prepare import of_role
from forgetting.report.verdict.models import asked_to_forget
from forgetting.runs.folder import RunFolder
from forgetting.runs.redact import Redactor
from forgetting.runs.register import Request, commitment_to, commitment_to_each, merged, read_register, write_register
from forgetting.runs.results import Results

LONGEST = 200
"""Characters of a name in a certificate."""


def request_of(folder: Path, key: Redactor) -> Request:
    """What a run was to forget, with a commitment to its facts: that of its register, or one that is made now.

    Args:
        folder: a finished run's.
        key: the redactor of its output folder, whose key makes the commitment.

    Raises:
        RunError: the run's files are damaged, or its data changed.
        DataError: its data cannot be read.
    """
    known = registered(folder)
    if known.commitment and known.key == key.name and known.each:
        return known
    recipe = recipe_of(folder)
    facts = of_role(data_of(folder, recipe), Role.FORGET)
    each = tuple(sorted({commitment_to_each(fact, key) for fact in facts}))
    return replace(known, facts=len(facts), commitment=commitment_to(facts, key), key=key.name, each=each)


def names_of(asked_by: str, owner: str) -> dict[str, str]:
    """Who asked and whose model it is, as far as it is said, by the fields of `Request`.

    Raises:
        RecipeError: a name is no line of at most `LONGEST` characters that can be seen, spaces among them.
    """
    given = {"asked_by": _in_one_line(asked_by), "owner": _in_one_line(owner)}
    for name, value in given.items():
        hidden = next((c for c in value if not c.isprintable()), None)
        said = f"{len(value)} characters" if hidden is None else f"a character that is not shown (U+{ord(hidden):04X})"
        if hidden is not None or len(value) > LONGEST:
            raise RecipeError(
                f"--{name.replace('_', '-')} has {said}; write a name in one line of at most {LONGEST} characters"
            )
    return {name: value for name, value in given.items() if value}


def _in_one_line(name: str) -> str:
    """A name whose spaces, of whatever width, are plain ones."""
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in name).strip()


def registered(folder: Path) -> Request:
    """A run's own entry in its register; without a commitment where there is none."""
    results = Results.load(folder)
    own = Request(id=results.name, date=results.created)
    there = read_register(RunFolder(folder).register_file)
    return next((r for r in there if (r.id, r.date) == (own.id, own.date)), own)


def register_audit(
    folder: Path, own: Request, predicate: Mapping[str, Any], certificate: str, again: Sequence[Request] = ()
) -> tuple[Request, ...]:
    """Writes what an audit said into the run's register, after the requests of earlier runs; returns all.

    Args:
        folder: the run's.
        own: its request.
        predicate: of the certificate.
        certificate: SHA-256 of its file.
        again: earlier requests whose facts were audited again on this run's model.
    """
    file = RunFolder(folder).register_file
    audited = replace(
        own,
        certificate=certificate,
        audited=predicate["date"],
        verdict=predicate["verdict"],
        line=predicate["line"],
    )
    requests = merged(requests_to(folder), [audited], again)
    write_register(file, requests)
    return requests


def requests_to(folder: Path) -> tuple[Request, ...]:
    """All requests to the model of a run that are known: of its register, and of the runs that it comes from.

    Raises:
        RunError: a register or the results of such a run are damaged.
    """
    places = earlier_runs(folder)
    registers = [read_register(RunFolder(place).register_file) for place in places]
    named = [request for place in places if (request := _named(place)) is not None]
    return merged(*registers, named, read_register(RunFolder(folder).register_file))


def _named(place: Path) -> Request | None:
    """An earlier run that may never have been audited; None: it was to forget nothing, so it is no request."""
    results = Results.load(place)
    return None if asked_to_forget(results) is False else Request(id=results.name, date=results.created)
