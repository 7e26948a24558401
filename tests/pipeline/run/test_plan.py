"""What cannot be measured is known before a run writes anything."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from forgetting.core.errors import RecipeError
from forgetting.evaluation import harness_tasks
from forgetting.pipeline.run.plan import check
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe

INDEX = {"piqa": None, "humaneval": {"unsafe_code": True}, "mbpp": {"unsafe_code": True}}


@pytest.fixture
def few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness with three tasks of its own: reading all of them takes seconds."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    entries = {name: SimpleNamespace(name=name, cfg=config, tags=set()) for name, config in INDEX.items()}
    manager = SimpleNamespace(task_index=entries, all_tasks=list(entries))
    monkeypatch.setattr(harness_tasks, "_built_in", lambda beside=None: manager)


def refused(recipe_file: Path, suite: str, message: str) -> None:
    recipe = load_recipe(str(recipe_file), [f"evaluate=['{suite}']"])
    for carry_out in (check, run):
        with pytest.raises(RecipeError, match=message):
            carry_out(recipe)
    assert not recipe.folder.exists()


@pytest.mark.usefixtures("few_tasks")
@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("harness:pica", r"^evaluate: harness: there is no task 'pica'; did you mean 'piqa'\?$"),
        ("harness:piqa+codings", r"^evaluate: harness: there is no task 'codings'; did you mean 'coding'\?$"),
        (
            "harness:coding,limit=5",
            "^evaluate: harness: task 'humaneval' runs code that the model writes; run_code=yes allows it",
        ),
    ],
)
def test_a_run_is_refused_before_anything_is_written(recipe_file: Path, suite: str, message: str) -> None:
    refused(recipe_file, suite, message)


def test_a_run_without_the_harness_is_refused_before_anything_is_written(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setattr(harness_tasks, "_built_in", harness_tasks._built_in.__wrapped__)
    refused(recipe_file, "harness:piqa", r"not installed .*; pip install 'forgetting\[harness\]'$")
