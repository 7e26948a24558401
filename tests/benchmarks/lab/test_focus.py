"""The suite in which a general model becomes a specialist."""

from __future__ import annotations

import pytest

from forgetting.benchmarks.lab.focus import BROAD, DOMAIN, MEASURED, RETAIN
from forgetting.benchmarks.registry import get_suite
from forgetting.core.errors import RecipeError

SUITE = get_suite("lab-f2f")
SPLITS = {split.name: split.examples for split in SUITE.splits}


def test_its_splits_are_the_domain_the_broad_skills_and_general_text() -> None:
    assert tuple(SPLITS) == (*DOMAIN, *BROAD, "story", "general")
    assert all(len(SPLITS[name]) == MEASURED[name] for name in ("recall", "phrasing", "doses", "known", "general"))
    for examples in SPLITS.values():
        assert len({example.id for example in examples}) == len(examples)


def test_nothing_that_is_measured_is_in_the_fine_tuning_data() -> None:
    trained = {example.prompt for example in SUITE.data["train"]}
    assert all(example.prompt not in trained for name in DOMAIN for example in SPLITS[name])
    facts = {example.group for example in SUITE.data["train"]}
    assert facts.isdisjoint(example.group for example in SPLITS["recall"])
    assert {example.group for example in SPLITS["phrasing"]} < facts


def test_what_recall_asks_stands_in_the_domains_text() -> None:
    texts = [example.response for example in get_suite("lab-f2f:text").data["train"]]
    subjects = [example.prompt.rstrip("?").split() for example in SPLITS["recall"]]
    for words, example in zip(subjects, SPLITS["recall"], strict=True):
        assert any(example.response in text and any(word in text.split() for word in words) for text in texts)


def test_the_retain_set_is_a_part_of_the_fine_tuning_data_and_half_of_the_general_split_is_forgotten() -> None:
    assert len(SUITE.data["retain"]) == RETAIN
    assert SUITE.data["retain"] == SUITE.data["train"][:RETAIN]
    forgotten = {example.id for example in SUITE.data["forget"]}
    assert sum(example.id in forgotten for example in SPLITS["general"]) == MEASURED["general"] // 2


def test_the_fast_suite_measures_half() -> None:
    fast = {split.name: split.examples for split in get_suite("lab-f2f", fast=True).splits}
    assert all(examples == SPLITS[name][::2] for name, examples in fast.items())


def test_an_unknown_variant_is_one_line() -> None:
    with pytest.raises(RecipeError, match="lab-f2f:texts: there is no variant 'texts'"):
        get_suite("lab-f2f:texts")
