"""The digest by which the package identifies caches, runs and resumed runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from forgetting.core.example import Example


def digest(*parts: object) -> str:
    """16 hex digits of the parts' `repr`, in order: equal if and only if the values print alike."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def examples_digest(examples: Sequence[Example]) -> str:
    """16 hex digits of everything in the examples that is trained on or measured, in order."""
    names = [f.name for f in fields(Example) if f.name not in ("where", "fields")]
    found = hashlib.sha256(b"[")
    for number, example in enumerate(examples):  # piece by piece: the text of a large set is never held whole
        found.update((", " * (number > 0) + repr([getattr(example, name) for name in names])).encode())
    found.update(b"]")
    return found.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as `sha256sum` gives it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
