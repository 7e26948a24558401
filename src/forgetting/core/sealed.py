"""JSON objects that hold their own SHA-256, so that a changed value is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "/sha256"
"""The key of the digest; no other key of our files begins with a slash and this word."""


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the digest of what JSON makes of them, as the last key."""
    return {**values, SEAL: _digest(json.loads(json.dumps(values)))}


def unsealed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The values without the digest; those of an earlier version have none.

    Raises:
        ValueError: they are not the values that were sealed.
    """
    values = dict(raw)
    seal = values.pop(SEAL, None)
    if seal is not None and seal != _digest(values):
        raise ValueError("its values are not those that were written: they do not have its SHA-256")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
