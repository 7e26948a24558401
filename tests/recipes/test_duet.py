"""The built-in DUET recipes ask as DUET's logs were asked, and carry its settings."""

from __future__ import annotations

import pytest

from forgetting.benchmarks.duet.suite import ANSWER_TOKENS, DATE, SYSTEM
from forgetting.core.duration import Duration
from forgetting.recipe import load_recipe, recipe_names, recipe_summary
from forgetting.recipe.sweep import load_sweep


@pytest.mark.parametrize("name", ["duet", "duet-sft"])
def test_questions_stand_behind_the_published_system_prompt_and_date(name: str) -> None:
    found = load_recipe(name, ["model=./mine"]).format
    assert (found.system, found.date, found.shots) == (SYSTEM, DATE, None) and ANSWER_TOKENS == 64
    assert name in recipe_names() and f"forget run {name} model=" in recipe_summary(name)


def test_unlearning_has_the_papers_settings() -> None:
    [stage] = load_recipe("duet", ["model=./mine"]).stages
    assert stage.method == {"name": "npo", "beta": 1.0, "retain": "none"}
    assert (stage.learning_rate, stage.schedule, stage.weight_decay) == (2e-5, "constant", 0.0)
    assert (stage.batch_size, stage.duration) == (32, Duration(2, "epochs"))
    adapter = stage.adapter_or_full
    assert (adapter.kind, adapter.rank, adapter.alpha, adapter.targets) == ("lora", 32, 64, "qkvo")


def test_fine_tuning_has_the_repositorys_settings_and_all_facts() -> None:
    found = load_recipe("duet-sft", ["model=./mine"])
    [stage] = found.stages
    assert (stage.learning_rate, stage.schedule, stage.weight_decay) == (2e-4, "cosine", 0.08)
    assert (stage.batch_size, stage.duration) == (128, Duration(3, "epochs"))
    assert [source.suite for source in found.data["train"]] == ["duet:full_,retain=none"]


def test_figure_9_asks_the_harness_at_every_rate() -> None:
    sweep = load_sweep("duet-figure9")
    runs = sweep.runs
    assert len(runs) == 2 * 2 * 3 * 5
    assert {run.recipe.stages[0].learning_rate for run in runs} == {1e-6, 5e-6, 1e-5, 2e-5, 5e-5}
    assert {run.recipe.evaluate[1] for run in runs} == {"harness:mmlu+hellaswag"}
    for run in runs:
        forget = run.recipe.data["forget"][0].suite
        assert run.recipe.evaluate[0] == forget == run.recipe.data["retain"][0].suite
