"""Reads a certificate that was written as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from forgetting.audits.certificate.statement import PREDICATE, STATEMENT
from forgetting.audits.certificate.verdict import Found
from forgetting.core.errors import RunError
from forgetting.core.written import read_json
from forgetting.runs.reading import as_typed

_MEND = "name a certificate.json that forget audit wrote, or audit again"
_KINDS = {
    "verdict": str,
    "line": str,
    "claim": str,
    "limits": list,
    "attacks": list,
    "models": dict,
    "recipe": dict,
    "margin": float,
    "date": str,
}
_FOUND = TypeAdapter(dict[str, tuple[Found, ...]])


def read_statement(file: Path) -> dict[str, Any]:
    """The certificate as it was written; whether it still fits its run is not looked at.

    Raises:
        RunError: the file cannot be read, or holds no certificate of this version.
    """
    try:
        raw = read_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: cannot be read ({error.strerror}); {_MEND}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: not readable as JSON ({error}); {_MEND}") from error
    if not isinstance(raw, dict) or (raw.get("_type"), raw.get("predicateType")) != (STATEMENT, PREDICATE):
        raise RunError(f"{file}: is no certificate of this version; {_MEND}")
    predicate = raw.get("predicate")
    there = predicate if isinstance(predicate, dict) else {}
    wrong = [key for key, kind in _KINDS.items() if not isinstance(there.get(key), kind)]
    if wrong:
        raise RunError(f"{file}: has no {wrong[0]}, or one of another kind; {_MEND}")
    if not all(isinstance(attack, dict) and "name" in attack for attack in there["attacks"]):
        raise RunError(f"{file}: an attack has no name; {_MEND}")
    return raw


def found_in(statement: Mapping[str, Any], file: Path) -> tuple[Found, ...]:
    """What it says of each value of each attack.

    Raises:
        RunError: that is damaged.
    """
    results = {"results": statement["predicate"].get("results", [])}
    return as_typed(_FOUND, results, file, _MEND)["results"]
