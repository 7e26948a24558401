"""The one digest of the package: what caches, runs and resumes are recognised by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields

from forgetting.core.example import Example


def digest(*parts: object) -> str:
    """16 hex digits of the parts' `repr`, in order: equal exactly for values that print alike."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def examples_digest(examples: Sequence[Example]) -> str:
    """16 hex digits of all that is trained on or measured of the examples, in order."""
    said = [[getattr(e, f.name) for f in fields(e) if f.name not in ("where", "fields")] for e in examples]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]
