"""The built-in recipes of Forgetting carry its settings (arXiv 2508.04329, section 5.1)."""

import pytest

from forgetting.benchmarks.harness import LISTS
from forgetting.core.duration import Duration
from forgetting.recipe import Recipe, load_recipe, recipe_names, recipe_summary

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
