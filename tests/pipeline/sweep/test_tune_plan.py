"""What a tuning runs."""

from pathlib import Path

import pytest
import yaml

from forgetting.core.errors import RecipeError
from forgetting.pipeline.sweep.tune_plan import plan_tuning
from forgetting.recipe import load_recipe
from forgetting.runs.tuning import Trial


def best(method: str, point: dict) -> Trial:
    return Trial(method=method, number=7, name=f"{method}-007", point=point, state="complete", value=0.5)


def test_a_trial_measures_the_selection_half_alone_and_a_winner_both(tmp_path: Path) -> None:
    plan = plan_tuning("lab", methods=["graddiff", "npo"], budget=4, seeds=2, output=str(tmp_path))
    trial = plan.trial("npo", 3, {"method.beta": 0.2, "duration": 45}).recipe
    assert trial.folder == tmp_path / "lab-tune" / "npo-003"
    assert trial.divide is not None and not trial.divide.report
    assert trial.stages[0].method["beta"] == 0.2 and str(trial.stages[0].duration) == "45 steps"
    assert trial.space == {} and trial.seed == 0
    finals = plan.finals([best("graddiff", {"learning_rate": 1e-3}), best("npo", {"method.beta": 0.2})])
    assert [run.name for run in finals.runs] == [
        "graddiff-007-seed1",
        "graddiff-007-seed2",
        "npo-007-seed1",
        "npo-007-seed2",
    ]
    assert finals.file.averaged == ["seed"] and [*finals.file.grid["method"]] == ["graddiff", "npo"]
    for run in finals.runs:
        assert run.recipe.divide is not None and run.recipe.divide.report
    assert finals.runs[3].recipe.seed == 2 and finals.runs[3].recipe.stages[0].method["beta"] == 0.2
    assert finals.runs[0].recipe.stages[0].learning_rate == 1e-3


def test_an_audit_is_of_what_was_chosen_not_of_every_trial() -> None:
    plan = plan_tuning("lab", ["audit=[fast]"], budget=1, seeds=1)
    assert plan.trial("graddiff", 0, {}).recipe.audit == {}
    assert [[*run.recipe.audit] for run in plan.finals([best("graddiff", {})]).runs] == [["fast"]]


def test_name_and_output_are_those_of_the_tuning(tmp_path: Path) -> None:
    plan = plan_tuning("lab", ["name=mine", f"output={tmp_path}", "learning_rate=1e-4"], budget=1)
    assert (plan.folder, plan.name) == (tmp_path / "mine", "mine")
    assert [*plan.spaces] == ["graddiff"]  # the recipe's own method


def test_the_space_of_the_recipe_counts(tmp_path: Path) -> None:
    changes = ["space.duration=null", "space.method.beta={low: 1, high: 2}"]
    plan = plan_tuning("lab", changes, methods=["npo", "graddiff"], budget=1, output=str(tmp_path))
    assert [*plan.spaces["npo"]] == ["learning_rate", "method.retain_weight", "method.beta"]
    assert [*plan.spaces["graddiff"]] == ["learning_rate", "method.retain_weight"]
    with pytest.raises(RecipeError, match=r"space\.method\.beta"):
        plan_tuning("lab", changes, methods=["graddiff"], budget=1)


def test_a_space_without_keys_is_refused() -> None:
    nothing = ["space.learning_rate=null", "space.duration=null"]
    with pytest.raises(RecipeError, match="leaves nothing to tune of 'ga'"):
        plan_tuning("lab", nothing, methods=["ga"], budget=1)


def test_a_settings_outside_of_what_the_recipe_takes_is_refused_before_anything_runs() -> None:
    with pytest.raises(RecipeError, match="unknown method 'npoo'"):
        plan_tuning("lab", methods=["npoo"], budget=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("space.learning_rate=[.inf, 1e-4]", r"^space\.learning_rate: .*finite"),
        ("space.learning_rate.x=[1, 2]", r"^space\.learning_rate\.x: "),
        ("space.adapter.nosuch=[1, 2]", r"^space\.adapter\.nosuch: "),
        ("space.batch_size=[1, 2.5]", r"^space\.batch_size: "),
        ("space.warmup={low: 0, high: 2}", r"^space\.warmup: .*less than"),
        ("space.optimizer=[sgd, adamv]", r"^space\.optimizer: "),
        ("space.duration={low: 0, high: 2}", r"^space\.duration: .*0 steps"),
        ("space.duration=[60 steps, 90 steps]", r"^space\.duration: write numbers; each is meant in steps"),
        ("space.method=[npo, ga]", r"^space\.method: a stage's method is not sought; .*--methods"),
        ("seed=2147483646", r"^--seeds: .*seed"),
    ],
)
def test_no_trial_runs_where_another_could_not(change: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        plan_tuning("lab", [change], budget=1)


def test_the_stage_is_named_where_several_train(tmp_path: Path) -> None:
    values = load_recipe("lab").model_dump(mode="json")
    second = {**values["stages"][0], "name": "again", "method": {"name": "npo"}}
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump({**values, "stages": [values["stages"][0], second]}))
    with pytest.raises(RecipeError, match=r"--stage: several stages train \(unlearn, again\)"):
        plan_tuning(str(file), budget=1)
    with pytest.raises(RecipeError, match=r"no stage that trains is called 'agian'.*again"):
        plan_tuning(str(file), stage="agian", budget=1)
    plan = plan_tuning(str(file), stage="again", budget=1, output=str(tmp_path))
    recipe = plan.trial("npo", 0, {"learning_rate": 5e-4}).recipe
    assert [stage.learning_rate for stage in recipe.stages] == [3e-4, 5e-4]


def test_a_goal_is_looked_at_on_the_selection_half(tmp_path: Path) -> None:
    ends = ["until=forget/exact_match <= 0.1", "keep=last"]
    plan = plan_tuning("lab", ends, budget=1, output=str(tmp_path))
    assert plan.recipe.stages[0].until == "selection-forget/exact_match <= 0.1"
    several = ["until=extraction and forget/probability <= holdout/probability", "keep=last"]
    plan = plan_tuning("lab", several, budget=1, output=str(tmp_path))
    said = "extraction and selection-forget/probability <= selection-holdout/probability"
    assert plan.recipe.stages[0].until == said
    own = plan_tuning("lab", ["until=all/balance >= 0.9", "keep=last"], budget=1)
    assert own.recipe.stages[0].until == "all/balance >= 0.9"


def test_a_division_that_the_recipe_writes_is_kept() -> None:
    plan = plan_tuning("lab", ["divide={selection: 0.25, seed: 4}"], budget=1)
    divide = plan.trial("graddiff", 0, {}).recipe.divide
    assert divide is not None and (divide.selection, divide.seed, divide.report) == (0.25, 4, False)


def test_the_study_depends_on_recipe_and_space_but_not_on_budget_name_or_place(tmp_path: Path) -> None:
    def study(*changes: str, budget: int = 1, output: str = "runs") -> str:
        return plan_tuning("lab", changes, budget=budget, output=output).study("graddiff").recipe

    assert study() == study("name=other", budget=9, output=str(tmp_path))
    others = {study("batch_size=8"), study("seed=1"), study("space.duration=null"), study("divide.seed=1")}
    assert study() not in others and len(others) == 4
