"""JSON objects that hold their own SHA-256, so that a changed value, or another file in their place, is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "/sha256"
"""The key of the digest; no other key of our files begins with a slash and this word."""
FILE = "/file"
"""Likewise, the key of the name that the file was written under."""


def sealed(values: Mapping[str, Any], file: str = "") -> dict[str, Any]:
    """The values with the name of their file, if it has one, and the digest of what JSON makes of both as the last key.

    Args:
        values: to be written as JSON.
        file: the name of the file, without its folder, which may be moved.
    """
    named = {**values, FILE: file} if file else dict(values)
    return {**named, SEAL: _digest(json.loads(json.dumps(named)))}


def unsealed(raw: Mapping[str, Any], file: str = "") -> dict[str, Any]:
    """The values without digest and name; those of an earlier version have none.

    Args:
        raw: as they were read.
        file: the name of the file that they were read from; empty: any.

    Raises:
        ValueError: they are not the values that were sealed, or were sealed as another file.
    """
    values = dict(raw)
    seal = values.pop(SEAL, None)
    if seal is not None and seal != _digest(values):
        raise ValueError("its values are not those that were written: they do not have its SHA-256")
    name = values.pop(FILE, file)
    if file and name != file:
        raise ValueError(f"it holds what was written as {name}")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
