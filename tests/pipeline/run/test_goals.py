"""From training to results and report: a damaged model reaches no goal, and a run that moved nothing says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from forgetting.cli.printing import print_goals
from forgetting.core.errors import RecipeError
from forgetting.core.measure import Measure
from forgetting.pipeline.run import own_data
from forgetting.pipeline.run.evaluator import Measurer
from forgetting.pipeline.run.run import run
from forgetting.pipeline.run.stop_rule import StopRule
from forgetting.recipe import Recipe, Stage, load_recipe, recipe_from
from forgetting.report.verdict.stop_rule import Seen, findings, missed
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from tests.conftest import write_rows

ASCENT = ["stages.unlearn.method=ga", "stages.unlearn.adapter={kind: full}", "stages.unlearn.batch_size=32"]


def results(recipe_file: Path, *changes: str) -> Results:
    return Results.load(run(load_recipe(str(recipe_file), [*ASCENT, *changes]), report=False))


@pytest.mark.parametrize(("rate", "success"), [("0.05", False), ("1e-9", True)])
def test_a_limit_is_reached_unless_the_model_is_damaged(recipe_file: Path, rate: str, success: bool) -> None:
    found = results(
        recipe_file,
        "stages.unlearn.until=forget/probability <= 0.9",
        f"learning_rate={rate}",
        "stages.unlearn.duration=6 steps",
        "stages.unlearn.evaluate_every=2 steps",
        "stages.unlearn.collapse_at=null",
    )
    [stage] = found.stages
    assert (stage.success, stage.steps) == (success, 2 if success else 6)
    assert ("retain/probability" in stage.damaged) is not success
    headline = verdict(found).headline
    assert (
        headline.startswith("Stage unlearn did not reach its goal within 6 epochs (forget/probability <= 0.9).")
        is not success
    )


def test_a_stage_may_end_at_its_limit_despite_damage_and_its_goal_is_not_reached(recipe_file: Path) -> None:
    found = results(
        recipe_file,
        "stages.unlearn.until=forget/probability <= 0.9",
        "stages.unlearn.despite_damage=true",
        "learning_rate=0.05",
        "stages.unlearn.duration=6 steps",
        "stages.unlearn.evaluate_every=2 steps",
        "stages.unlearn.collapse_at=null",
    )
    [stage] = found.stages
    assert (stage.stopped, stage.steps, stage.success) == ("goal", 2, False)
    assert "retain/probability" in stage.damaged
    [said] = [line for line in missed(found) if "its goal" in line]
    assert "The model is damaged" in said
    [finding] = [f for f in findings(stage, Seen(found.after, found.before)) if f.topic == "Goal"]
    assert "fewer examples" not in finding.text
    assert "ended after 2 epochs, where its limit was met, and did not reach its goal" in finding.text


def test_a_goal_compares_with_unseen_text_on_the_model_that_is_delivered(recipe_file: Path, world: Path) -> None:
    forget, unseen = (
        write_rows(
            world / f"{name}.jsonl", [{"text": f"{name} number {i} of the long list of texts {i}"} for i in (1, 2)]
        )
        for name in ("known", "never")
    )
    found = results(
        recipe_file,
        f"data.forget={forget}",
        f"data.holdout={unseen}",
        "evaluate=extraction",
        "stages.unlearn.until=extraction",
        "learning_rate=1e-9",
        "stages.unlearn.duration=1 step",
        "stages.unlearn.evaluate_every=1 step",
    )
    [stage] = found.stages
    assert stage.thresholds is not None and found.before is not None and found.after is not None
    assert (stage.thresholds.forget, stage.thresholds.unseen) == ("forget", "unseen")
    for evaluation in found.evaluations:  # in the middle, too
        assert evaluation.measure("unseen/memorization_accuracy") is not None
    assert stage.success == stage.thresholds.reached(found.after.measures)


def test_a_run_that_moved_nothing_says_so_first(recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(
        recipe_file, "learning_rate=1e-9", "stages.unlearn.duration=5 steps", "stages.unlearn.evaluate_every=null"
    )
    [stage] = found.stages
    assert stage.moved is not None and stage.moved.share == pytest.approx(0, abs=1e-3)
    judged = verdict(found)
    assert judged.tone == "bad"
    assert judged.headline.startswith("Stage unlearn moved nothing in 5 steps at 1e-09 (forget/probability ")
    assert "lowered" not in judged.headline and "damaged" not in judged.headline
    print_goals(found.folder)
    said = capsys.readouterr().out
    assert said.startswith("Stage unlearn moved nothing in 5 steps at 1e-09 (forget/probability ")
    assert said.endswith(
        "Try stages.unlearn.duration='60 steps'; if that is not enough, stages.unlearn.learning_rate=3e-09.\n"
    )


def test_a_control_that_forgets_nothing_is_no_failure(recipe_file: Path) -> None:
    found = results(
        recipe_file,
        "stages.unlearn.method={name: graddiff, forget_weight: 0}",
        "stages.unlearn.duration=2 steps",
        "stages.unlearn.evaluate_every=null",
    )
    assert found.stages[0].moved is None


def test_every_request_of_a_run_has_its_line(recipe_file: Path, world: Path) -> None:
    recipe = yaml.safe_load(recipe_file.read_text())
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()]
    stage = recipe["stages"][0] | {"duration": "2 steps", "evaluate_every": None, "learning_rate": 0.02}
    recipe["stages"] = [
        stage | {"name": name, "data": {"forget": str(write_rows(world / f"{name}.jsonl", rows[i::2]))}}
        for i, name in enumerate(("march", "april"))
    ]
    del recipe["data"]["forget"]
    file = recipe_file.with_name("two.yaml")
    file.write_text(yaml.safe_dump(recipe))
    found = Results.load(run(load_recipe(str(file)), report=False))
    lines = {f.topic: f.text for f in verdict(found).requests}
    for name in ("march", "april"):
        assert lines[f"Request {name}"].startswith(f"{name}-forget · probability went from ")
    moved = {s.name: s.moved for s in found.stages}
    assert moved["april"] is not None and moved["april"].key == "april-forget/probability"
    after_march = next(e for e in found.afters if e.stage == "march").measure("april-forget/probability")
    assert after_march is not None and moved["april"].start == after_march.value  # from the model before the stage


@pytest.mark.parametrize("redact", [False, True])
def test_damage_of_a_later_stage_is_counted_from_the_same_examples(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch, redact: bool
) -> None:
    monkeypatch.setattr(own_data, "OWN_LIMIT_FAST", 5)
    seen: list[tuple[Sequence[Measure], ...]] = []

    def rule(self: Measurer, stage: Stage) -> StopRule | None:
        found = ruled(self, stage)
        seen.extend([found.starts] if found is not None and stage.name == "two" else [])
        return found

    ruled = Measurer.rule
    monkeypatch.setattr(Measurer, "rule", rule)
    still = {"method": "graddiff", "duration": "1 steps", "learning_rate": 1e-12, "evaluate_every": "1 steps"}
    stages = [
        {"name": name, **still, "keep": "last", "until": "forget/probability <= 1", "adapter": None}
        for name in ("one", "two")
    ]
    values = {**yaml.safe_load(recipe_file.read_text()), "stages": stages, "redact": redact}
    run(recipe_from(values), report=False)
    ((before, left),) = seen
    of = {m.key: (m.value, m.count) for m in before if m.split == "retain"}
    assert of["retain/probability"][1] == 5
    for key, value in {m.key: (m.value, m.count) for m in left if m.split == "retain"}.items():
        assert value == (pytest.approx(of[key][0], abs=1e-6), of[key][1]), key


def test_a_goal_is_of_the_stages_own_set_where_stages_forget_different_ones(recipe_file: Path, world: Path) -> None:
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(4)]
    guests = str(write_rows(world / "guests.jsonl", rows))
    until = {"method": "ga", "duration": "1 steps", "evaluate_every": "1 steps", "keep": "last", "adapter": None}
    stages = [{"name": "one", **until}, {"name": "two", **until, "data": {"forget": guests}}]
    values = yaml.safe_load(recipe_file.read_text())

    def recipe(key: str) -> Recipe:
        return recipe_from({**values, "stages": [stages[0], {**stages[1], "until": f"{key} <= 1"}]})

    with pytest.raises(RecipeError, match=r"forget/probability is of what all stages forget.*write two-forget/prob"):
        run(recipe("forget/probability"), report=False)
    assert not (recipe("forget/probability").folder).exists()
    found = Results.load(run(recipe("two-forget/probability"), report=False))
    assert found.stages[1].success is True


def test_the_balance_may_be_a_goal(recipe_file: Path) -> None:
    found = results(recipe_file, "stages.unlearn.until=all/balance >= 0", "stages.unlearn.evaluate_every=1 steps")
    assert found.stages[0].stopped == "goal"
