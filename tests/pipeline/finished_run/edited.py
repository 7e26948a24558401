"""A finished run whose recipe was edited on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from forgetting.core.sealed import unsealed
from forgetting.runs.reading import write_object


def with_model(folder: Path, model: Path) -> None:
    """Makes a finished run say that it began with another model, without a trace of its own recipe."""
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "model": str(model)}, sort_keys=False))
    results = unsealed(json.loads((folder / "results.json").read_text()))
    write_object(folder / "results.json", {**results, "recipe_sha256": ""})
