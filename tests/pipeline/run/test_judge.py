"""A run that its judge ends in the middle."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.pipeline.run.judge import balances
from forgetting.pipeline.run.run import run
from forgetting.recipe import Recipe, load_recipe
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Results


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    return load_recipe(str(recipe_file), ["duration=6 steps", "evaluate_every=2 steps", "adapter.dropout=0.0"])


def test_the_judge_sees_every_balance_up_to_now_and_ends_the_run(recipe: Recipe) -> None:
    seen: list[Mapping[int, float]] = []

    def judge(found: Mapping[int, float]) -> str:
        seen.append(dict(found))
        return "pruned at step 4: too low" if 4 in found else ""

    said: list[str] = []
    folder = RunFolder(run(recipe, voice=Voice(say=said.append), judge=judge))
    assert [[*found] for found in seen] == [[2], [2, 4]]
    assert seen[1] == balances(folder, "unlearn")
    assert folder.pruned() == said[-1] == "pruned at step 4: too low"
    assert not folder.is_finished and not folder.model.exists()
    with pytest.raises(RunError, match="a tuning ended the run early"):
        Results.load(folder.path)


def test_a_pruned_run_may_be_run_to_its_end_and_is_what_it_would_have_been(recipe: Recipe) -> None:
    whole = Results.load(run(recipe.with_values({"name": "whole"})))
    run(recipe, judge=lambda found: "enough")
    resumed = Results.load(run(recipe))
    assert resumed.after is not None and whole.after is not None
    assert resumed.after.measures == whole.after.measures


def test_killed_before_it_is_noted_the_judge_is_asked_again_at_the_same_step(recipe: Recipe) -> None:
    asked: list[list[int]] = []

    def judge(found: Mapping[int, float]) -> str:
        asked.append([*found])
        return "enough"

    folder = RunFolder(run(recipe, judge=judge))
    folder.pruned_file.unlink()
    run(recipe, judge=judge)
    assert asked == [[2], [2]]
    assert folder.pruned() == "enough"


def test_a_run_before_its_last_stage_is_not_judged(recipe: Recipe) -> None:
    first = recipe.model_dump(mode="json")["stages"][0]
    two = Recipe.from_values({**recipe.model_dump(mode="json"), "stages": [first, {**first, "name": "again"}]})
    steps: list[list[int]] = []
    run(two, judge=lambda found: steps.append([*found]) or "")  # type: ignore[func-returns-value]
    assert steps == [[2], [2, 4], [2, 4, 6]]


def test_balances_are_of_one_stage_up_to_a_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert balances(folder, "unlearn") == {}
    for stage, step, value in (("unlearn", 12, 0.5), ("unlearn", 2, 0.1), ("other", 4, 0.9), ("unlearn", 6, None)):
        found = Measure(name="balance", split="all", value=value, count=1)
        folder.evaluations.write(Evaluation(point="epoch", stage=stage, step=step, measures=(found,)), ())
    folder.evaluations.write(Evaluation(point="after", stage="unlearn", step=12), ())
    assert balances(folder, "unlearn") == {2: 0.1, 12: 0.5}
    assert balances(folder, "unlearn", 6) == {2: 0.1}


def test_a_divided_run_keeps_its_checkpoint_by_one_half_and_reports_the_other(recipe_file: Path) -> None:
    changes = ["divide={}", "duration=6 steps", "evaluate_every=2 steps", "keep=best", "learning_rate=5e-3"]
    changes += ["method=graddiff", "adapter=null"]
    results = Results.load(run(load_recipe(str(recipe_file), changes)))
    on_the_way = [e for e in results.evaluations if e.point == "epoch"]
    assert {m.split for e in on_the_way for m in e.measures} == {
        "all",
        *(f"selection-{n}" for n in ("all", "forget", "retain")),
    }
    balance = {e.step: e.measure("all/balance").value for e in on_the_way}  # type: ignore[union-attr]
    assert max(value or 0.0 for value in balance.values()) > 0
    assert results.after is not None and results.after.step == max(balance, key=lambda step: balance[step] or 0.0)
    halves = [{r.id for r in results.records(results.after) if r.split == s} for s in ("forget", "selection-forget")]
    assert [len(half) for half in halves] == [6, 6] and not halves[0] & halves[1]
    assert results.declared.headline.forgotten[0] == "forget/probability"
    assert "selection-forget" in (results.folder / "report.html").read_text()
