"""Whether a run was to forget: its stages say it; those of earlier versions are told by their method and data."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.report.verdict.models import asked_to_forget, stage_of
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult

NOISE = StageResult(name="noise", method="noise", transform={"name": "noise"})


@pytest.mark.parametrize(
    ("stages", "asked"),
    [
        ((StageResult(name="a", method="sft"), NOISE), False),
        ((StageResult(name="a", method="distil", forgets=False),), False),
        ((StageResult(name="a", method="sft", forgets=False), StageResult(name="b", method="ga", forgets=True)), True),
        ((NOISE,), True),
        ((StageResult(name="a", method="distil"),), True),  # of an earlier version: the data say it
    ],
)
def test_a_run_was_to_forget_where_a_stage_has_a_term_on_the_forget_set(
    stages: tuple[StageResult, ...], asked: bool
) -> None:
    data = {"train": {}, "forget": {}, "retain": {}}
    assert asked_to_forget(Results(folder=Path("x"), name="x", status="complete", stages=stages, data=data)) is asked


def test_a_run_that_names_neither_stages_nor_data_says_nothing() -> None:
    assert asked_to_forget(Results(folder=Path("x"), name="x", status="complete")) is None


@pytest.mark.parametrize(
    ("evaluate", "split", "stage"),
    [
        (["extraction"], "one-forget", "one"),
        (["extraction"], "one-more-forget", "one-more"),
        ({"first": "extraction"}, "first-one-forget", "one"),
        ({"two": "extraction"}, "two-one-forget", "one"),  # the label is another stage's name
        ({"one": "lab", "two": "tofu"}, "two-forget", "two"),  # a suite for each stage
        ({"first": "extraction"}, "one-forget", "one"),  # as two runs are compared: without the label
        (None, "forget", None),
    ],
)
def test_the_stage_of_a_set_is_known_under_any_label(evaluate: object, split: str, stage: str | None) -> None:
    stages = tuple(StageResult(name=name, method="ga") for name in ("one", "one-more", "two"))
    recipe = {"evaluate": evaluate}
    assert (
        stage_of(Results(folder=Path("x"), name="x", status="complete", stages=stages, recipe=recipe), split) == stage
    )
