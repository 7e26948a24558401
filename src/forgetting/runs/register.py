"""The register of requests in a run folder: what the run and those it comes from were to forget, and what audits said.

It holds no texts: a commitment is a keyed hash of the facts, which whoever has the key and the facts can check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from forgetting.core.example import Example
from forgetting.runs.reading import as_typed, read_object, write_object
from forgetting.runs.redact import Redactor

_MEND = "bring it back, or remove it and audit again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What an audit of the facts of an earlier request said of a later model."""

    run: str
    """The name of the run that made the model."""
    date: str
    """When that run was made."""
    audited: str
    facts: int
    """How many facts of the request were supplied for it."""
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one run was to forget."""

    id: str
    """The name of the run."""
    date: str
    """When the run was made."""
    facts: int = 0
    commitment: str = ""
    """See `commitment_to`; empty: the run was never audited."""
    key: str = ""
    """The name of the key of the commitment."""
    certificate: str = ""
    """SHA-256 of the certificate of its last audit."""
    audited: str = ""
    """When that was."""
    verdict: str = ""
    line: str = ""
    """The verdict in a line."""
    each: tuple[str, ...] = ()
    """A commitment to each fact, in no order of theirs; empty in registers of earlier versions."""
    again: tuple[Again, ...] = ()
    """Audits of the same facts after later requests, the earliest run first."""
    asked_by: str = ""
    """Who asked, as the owner names them; empty: not said."""
    owner: str = ""
    """Whose model it is, as the owner says; likewise."""


_REQUESTS = TypeAdapter(dict[str, tuple[Request, ...]])


def commitment_to(examples: Sequence[Example], redactor: Redactor) -> str:
    """64 bits that change with any fact, and cannot be computed or guessed without the key.

    Order, repetition, ids and spacing do not matter.
    """
    return redactor.hash("request", *sorted(set(map(_fact, examples))))


def commitment_to_each(example: Example, redactor: Redactor) -> str:
    """The same of one fact, by which it is found in a register."""
    return redactor.hash("fact", _fact(example))


def read_register(file: Path) -> tuple[Request, ...]:
    """The requests, the earliest first; none where there is no file.

    Raises:
        RunError: the file is damaged.
    """
    if not file.is_file():
        return ()
    return as_typed(_REQUESTS, read_object(file, what="a register", mend=_MEND), file, _MEND).get("requests", ())


def write_register(file: Path, requests: Sequence[Request]) -> None:
    """Writes the file, whole or not at all."""
    write_object(file, {"requests": [asdict(request) for request in requests]}, indent=1)


def merged(*registers: Sequence[Request]) -> tuple[Request, ...]:
    """All requests, the earliest first; of what stands in several registers, what was audited last."""
    found: dict[tuple[str, str], Request] = {}
    again: dict[tuple[str, str], dict[tuple[str, str], Again]] = {}
    for request in (r for register in registers for r in register):
        key = (request.date, request.id)
        known = found.get(key)
        if known is None or (request.audited, request.commitment) >= (known.audited, known.commitment):
            found[key] = request
        for one in request.again:
            of = again.setdefault(key, {})
            if (one.date, one.run) not in of or one.audited >= of[one.date, one.run].audited:
                of[one.date, one.run] = one
    return tuple(
        replace(found[key], again=tuple(one for _, one in sorted(again.get(key, {}).items()))) for key in sorted(found)
    )


def _fact(example: Example) -> str:
    return " ".join(f"{example.prompt}\n{example.response}".split())
