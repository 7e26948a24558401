"""Suites are found by name; every one declares only measures that it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.benchmarks.registry import SUITES, get_suite, register_suite, shipped_models, suite_model
from forgetting.benchmarks.suite import Suite, labelled
from forgetting.core.errors import RecipeError
from forgetting.metrics.score import score


def declared(suite: Suite) -> set[str]:
    head, balance = suite.declares.headline, suite.declares.balance
    parts = () if balance is None else (balance.forget, balance.retain, balance.utility)
    return {key for column in (*head.columns, *head.forms) for key in column} | {*suite.declares.alarm, *parts} - {""}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", ["lab", "lab:popular", "lab-f2f", "lab-noisy", "tdec:lab"])
def test_every_key_that_a_suite_declares_is_measured_also_when_fast(name: str, fast: bool) -> None:
    suite = get_suite(name, fast=fast)
    known = {m.key for m in score(suite.metrics, [])}
    assert declared(suite) and declared(suite) <= known
    assert set(suite.declares.retain_splits) <= {split.name for split in suite.splits}
    other = labelled(suite, "first")
    assert declared(other) == {f"first-{key}" for key in declared(suite)}


def test_the_models_that_come_with_suites_are_found_by_name() -> None:
    assert set(shipped_models()) >= {"lab", "lab-general"}
    assert Path(suite_model("lab"), "config.json").is_file()
    assert suite_model("org/model") == "org/model"


def test_a_mistyped_suite_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="unknown suite 'tofuu'; did you mean 'tofu'"):
        get_suite("tofuu:forget10")


def test_a_function_that_returns_no_suite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SUITES, "_entries", dict(SUITES._entries))
    register_suite("mine")(lambda variant, fast: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(RecipeError, match="suite 'mine' of tests returns NoneType, not a Suite"):
        get_suite("mine")
