"""Figures of known implementations (see README.md), and the real data that stand beside a checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
REAL_DATA = FOLDER.parents[1].parent / "shared" / "data"
"""Real data sets. They are no part of the repository: tests of them are skipped where they are missing."""


def golden(name: str) -> dict[str, Any]:
    """The content of `NAME.json`."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def figures(name: str) -> dict[str, Any]:
    """The figures of `NAME.json`, by the case that they belong to."""
    return golden(name)["figures"]


def needs(path: Path) -> pytest.MarkDecorator:
    """Skips a test where this file or folder is missing."""
    return pytest.mark.skipif(not path.exists(), reason=f"{path.name} is missing: real data are not in the repository")
