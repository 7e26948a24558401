"""Runs for a board: made-up results with a recipe, a seed, and digests of data and model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.report.fixtures import IHL, IHL_RUN, Levels, write_run

DIGESTS: Mapping[str, Mapping[str, str]] = {
    "unlearn": {"forget": "f0", "retain": "r0"},
    "/model": {"weights": "w0", "vocabulary": "v0", "config of transformers 5": "c0"},
    "/measured": {"forget": "m0", "retain": "m1"},
    "/read": {"unlearn/forget": "t0", "measured/forget": "p0", "measured/retain": "p1"},
}


def made(
    folder: Path,
    *,
    method: str = "npo",
    seed: int = 0,
    after: Levels = IHL,
    digests: Mapping[str, Mapping[str, str]] | None = DIGESTS,
    learning_rate: float = 1e-3,
    recipe: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A finished run in `folder`, by whose name it goes; `recipe` and `more` change its recipe and its results."""
    story = replace(IHL_RUN, name=folder.name, method=method, after=after, questions=0, selected=False)
    write_run(folder, story)
    file = folder / "results.json"
    results = json.loads(file.read_text())
    stage = {"name": "unlearn", "method": {"name": method}, "learning_rate": learning_rate, "duration": "60 steps"}
    given = {"name": folder.name, "output": str(folder.parent), "model": "lab", "seed": seed, "stages": [stage]}
    results |= {"recipe": {**given, **(recipe or {})}, **more}
    file.write_text(json.dumps(results))
    if digests is not None:
        (folder / "data.json").write_text(json.dumps(digests))
    return folder


def digests_with(key: str, part: str, value: str) -> dict[str, dict[str, str]]:
    """The digests with one of them changed."""
    found = {name: dict(parts) for name, parts in DIGESTS.items()}
    found.setdefault(key, {})[part] = value
    return found


def at(forget: float, retain: float) -> Levels:
    """Levels at the end with other values of what is forgotten and kept."""
    return {**IHL, "forget/probability": forget, "retain/probability": retain}
