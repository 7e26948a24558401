"""The register of requests in a run folder: what the run and those it comes from were to forget, and what audits said.

It holds no texts: a commitment is a keyed hash of the facts, which whoever has the key and the facts can check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from forgetting.core.example import Example
from forgetting.runs.reading import as_typed, read_object, write_object
from forgetting.runs.redact import Redactor

_MEND = "bring it back, or remove it and audit again"


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


_REQUESTS = TypeAdapter(dict[str, tuple[Request, ...]])


def commitment_to(examples: Sequence[Example], redactor: Redactor) -> str:
    """64 bits that change with any fact, and cannot be computed or guessed without the key.

    Order, repetition, ids and spacing do not matter.
    """
    facts = {" ".join(f"{example.prompt}\n{example.response}".split()) for example in examples}
    return redactor.hash("request", *sorted(facts))


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
    for request in (r for register in registers for r in register):
        known = found.get((request.date, request.id))
        if known is None or (request.audited, request.commitment) >= (known.audited, known.commitment):
            found[request.date, request.id] = request
    return tuple(found[key] for key in sorted(found))
