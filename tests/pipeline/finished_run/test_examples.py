"""The examples of a run by role."""

from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.pipeline.finished_run.examples import data_of, examples_of
from forgetting.pipeline.finished_run.models import recipe_of
from forgetting.recipe import recipe_from
from tests.conftest import write_rows
from tests.pipeline.finished_run.test_ask import made

STAGE = [{"method": "graddiff", "adapter": {"rank": 2}}]


def test_roles_are_the_runs_own_and_what_is_forgotten_is_not_retained(world: Path, tmp_path: Path) -> None:
    forget = write_rows(
        tmp_path / "f.jsonl", [{"question": f"Q{i}?", "answer": f"A{i}", "group": f"g{i}"} for i in range(3)]
    )
    rows = [
        {"question": " q1? ", "answer": "A1"},
        {"question": "Other words?", "answer": "B", "group": "g2"},
        {"question": "Else?", "answer": "C", "group": "g9"},
    ]
    retain = write_rows(tmp_path / "r.jsonl", rows)
    folder = made(world, tmp_path / "runs", "run", STAGE, data={"forget": str(forget), "retain": str(retain)})
    recipe = recipe_of(folder)
    data = data_of(folder, recipe)
    found = examples_of(recipe, data)
    assert {role: [e.prompt for e in members] for role, members in found.items()} == {
        "forget": ["Q0?", "Q1?", "Q2?"],
        "retain": ["Else?"],
    }
    assert len(examples_of(recipe, data, facts=2)["forget"]) == 2
    assert examples_of(recipe, data, facts=2) == examples_of(recipe, data, facts=2)
    write_rows(forget, [{"question": "Changed?", "answer": "A"}])
    with pytest.raises(RunError, match="changed since it began"):
        data_of(folder, recipe)


def test_holdout_examples_come_from_the_suite_where_the_recipe_has_none() -> None:
    data = {"forget": {"suite": "lab"}, "retain": {"suite": "lab"}}
    recipe = recipe_from({"model": "lab", "data": data, "stages": STAGE, "evaluate": ["lab"], "output": "/nowhere"})
    found = examples_of(recipe, data_of(Path("/nowhere"), recipe), facts=50)
    assert {role: len(members) for role, members in found.items()} == {"forget": 50, "retain": 50, "holdout": 50}
    alone = recipe.with_values({"evaluate": []})
    assert "holdout" not in examples_of(alone, data_of(Path("/nowhere"), alone))
