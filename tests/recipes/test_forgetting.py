"""The built-in recipes of Forgetting carry its settings (arXiv 2508.04329, section 5.1)."""

import pytest

from forgetting.benchmarks.harness import LISTS
from forgetting.core.duration import Duration
from forgetting.recipe import Recipe, load_recipe, recipe_names, recipe_summary
from forgetting.recipe.sweep import load_sweep

TABLE1 = {"dolly": 3120, "flan": 21396, "oasst": 7095, "alpaca": 11110, "wizard": 17279}
"""Samples of the two parts together, 50,000 and 10,000."""


def paper() -> Recipe:
    return load_recipe("forgetting-sft", ["model=./mine"])


def own() -> Recipe:
    return load_recipe("forgetting", ["model=./mine", "data.train=mine.jsonl"])


def test_the_corpus_is_drawn_by_the_papers_shares() -> None:
    recipe = paper()
    corpus = recipe.corpus
    assert corpus is not None
    assert (corpus.size, corpus.reference, corpus.duplicates) == (60_000, 10_000, "drop")
    sources = recipe.data["train"]
    assert sum(source.share or 0.0 for source in sources) == pytest.approx(1.0, abs=1e-12)
    for source, (name, count) in zip(sources, TABLE1.items(), strict=True):
        assert source.hub is not None and name in source.hub.lower()
        assert round((source.share or 0.0) * corpus.size) == count
    assert sum(TABLE1.values()) == corpus.size


@pytest.mark.parametrize(("recipe", "least"), [(paper, 0), (own, 100)])  # one's own data may be few rows
def test_the_papers_settings(recipe, least: int) -> None:
    for stage in recipe().stages:
        adapter = stage.adapter_or_full
        assert (adapter.kind, adapter.rank, adapter.alpha, adapter.dropout) == ("lora", 64, 16, 0.1)
        assert (stage.batch_size, stage.duration, stage.optimizer) == (24, Duration(1, "epochs", least), "adamw")
        assert (stage.learning_rate, stage.schedule, stage.warmup) == (1e-4, "linear", 0.03)


@pytest.mark.parametrize("recipe", [paper, own])
def test_a_reference_is_trained_set_aside_and_selects_the_tokens(recipe) -> None:
    reference, train = recipe().stages
    assert (reference.name, reference.method, reference.part) == ("reference", {"name": "sft"}, "reference")
    assert (reference.between, reference.select) == ("aside", None)
    weight = {"schedule": "forgetting", "t_min": 1e-4, "t_max": 0.25}
    assert (train.method, train.part) == ({"name": "forgetting", "forget_weight": weight}, "train")
    select = train.select
    assert select is not None
    assert (select.reference, select.positives, select.level) == ("stage:reference", 0.7, "token")
    assert (select.forget_rate, select.forget_by) == (None, "lowest")


def test_the_papers_five_benchmarks_are_measured() -> None:
    assert paper().evaluate == ["harness:forgetting-table3"]
    assert [task.task for task in LISTS["forgetting-table3"]] == [
        "truthfulqa_mc2",
        "boolq",
        "logiqa",
        "tydiqa_goldp",
        "asdiv",
    ]


def test_data_of_ones_own_give_a_sixth_to_the_reference_and_are_what_is_measured() -> None:
    recipe = own()
    assert recipe.corpus is not None
    assert recipe.corpus.size is None and recipe.corpus.reference == pytest.approx(1 / 6, abs=1e-4)
    assert recipe.evaluate == [] and [str(source) for source in recipe.data["train"]] == ["mine.jsonl"]


@pytest.mark.parametrize("name", ["forgetting-sft", "forgetting"])
def test_it_is_listed_with_the_command_that_runs_it(name: str) -> None:
    assert name in recipe_names()
    assert f"forget run {name} model=" in recipe_summary(name)


def test_figure_1a_is_both_methods_by_the_share_of_positive_tokens() -> None:
    sweep, found = load_sweep("forgetting-figure1a"), set()
    base = paper()
    for run in sweep.runs:
        reference, train = run.recipe.stages
        assert reference == base.stages[0] and run.recipe.corpus == base.corpus
        assert train.select is not None and train.select.forget_rate is None
        found.add((train.method["name"], train.select.positives, run.recipe.seed))
    shares = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert found == {(m, share, seed) for m in ("forgetting", "ignoring") for share in shares for seed in (0, 1, 2)}
    assert [figure.x for figure in sweep.file.figures] == ["stages.train.select.positives"]


def test_figure_1b_forgets_a_part_of_the_negative_tokens_up_to_all() -> None:
    found = {}
    for run in load_sweep("forgetting-figure1b").runs:
        train = run.recipe.stages[-1]
        assert train.method == paper().stages[-1].method
        assert train.select is not None and (train.select.positives, train.select.forget_by) == (0.7, "lowest")
        found.setdefault(train.select.forget_rate, []).append(run.recipe.seed)
    assert found == {rate: [0, 1, 2] for rate in (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)}
