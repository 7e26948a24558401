"""Every method and every gradient rule, as a recipe of one stage from its data to its cost and its measures."""

import json
from pathlib import Path
from typing import Any

import pytest

from forgetting.objectives.gradient_rules import GRADIENT_RULES
from forgetting.objectives.methods import METHODS, build_method
from forgetting.pipeline.run.run import run
from forgetting.recipe import recipe_from
from tests.conftest import write_rows

SCORED = {"forgetting", "ignoring"}
"""Whose tokens a reference must have scored: `test_forgetting_sft` runs them."""
ARMS: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS.names() if name not in SCORED}
ARMS |= {name: {"method": "graddiff", "gradients": name} for name in GRADIENT_RULES.names()}
ARMS["rmu"]["method"] = {"name": "rmu", "layer": 1}  # its default is a layer of a larger model


@pytest.mark.parametrize("name", ARMS)
def test_a_run_of_it_ends_and_its_cost_is_counted(name: str, world: Path, tmp_path: Path) -> None:
    data = {}
    for role in build_method(name if name in METHODS.names() else "graddiff").roles:
        rows = [
            {"question": f"Where is guest {i}?", "answer": f"In the {role}.", "popularity": i + 1} for i in range(4)
        ]
        data[role] = str(write_rows(tmp_path / f"{role}.jsonl", rows))
    stage = {"name": "only", "learning_rate": 1e-4, "batch_size": 2, "duration": "2 steps", **ARMS[name]}
    how = {"model": str(world / "model"), "dtype": "float32", "threads": 1, "max_new_tokens": 2}
    folder = run(recipe_from({"name": "run", "output": str(tmp_path), "data": data, "stages": [stage], **how}))
    results = json.loads((folder / "results.json").read_text())
    cost = results["cost"]["flops"]
    assert cost["reason"] == "" and cost["total"] > cost["evaluation"] > 0
