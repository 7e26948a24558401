"""Rows of a board: seeds averaged, other settings named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.measure import Measure
from forgetting.report.board.entry import entries
from forgetting.report.board.methods import averaged, differing, methods
from tests.report.board.made import at, made

ONE = Measure(name="probability", split="forget", value=0.2, count=78, low=0.1, high=0.3, direction="down")


def test_the_mean_over_seeds_spans_the_intervals_of_all() -> None:
    seeds = [ONE, replace(ONE, value=0.35, low=0.2, high=0.5), replace(ONE, value=0.05, low=0.01, high=0.2)]
    found = averaged(seeds, 3)
    assert found.value == pytest.approx(float(np.mean(np.float64([0.2, 0.35, 0.05]))))
    assert (found.low, found.high, found.count) == (0.01, 0.5, 78)
    assert averaged([ONE], 1) is ONE


def test_a_seed_without_a_value_leaves_no_mean() -> None:
    absent = replace(ONE, value=None, low=None, high=None, reason="no finite scores")
    found = averaged([ONE, absent], 2)
    assert (found.value, found.low, found.reason) == (None, None, "no value in 1 of 2 seeds: no finite scores")
    assert averaged([ONE], 2).reason == "no value in 1 of 2 seeds: not part of the evaluation"


def test_a_seed_without_an_interval_leaves_no_interval() -> None:
    found = averaged([ONE, replace(ONE, low=None, high=None)], 2)
    assert (found.value, found.low, found.high) == (0.2, None, None)


def test_p_values_are_averaged_by_their_logarithms() -> None:
    p = replace(ONE, name="forget_quality", direction="up")
    found = averaged([replace(p, value=1e-2), replace(p, value=1e-6)], 2)
    assert found.value is not None and math.isclose(found.value, 1e-4) and found.low is None


def test_runs_that_differ_by_seed_alone_are_one_row(tmp_path: Path) -> None:
    for seed, forget in ((0, 0.10), (1, 0.20), (2, 0.60)):
        made(tmp_path / f"s{seed}", seed=seed, after=at(forget, 0.9))
    made(tmp_path / "gd", method="graddiff")
    kept, _ = entries([tmp_path])
    found = methods(kept)
    assert [(row.label, row.seeds) for row in found] == [("graddiff", 1), ("npo", 3)]
    cell = found[1].cell("forget/probability")
    assert cell.value == "0.300" and cell.spread == f"± {np.std([0.1, 0.2, 0.6], ddof=1):.3f}"
    assert found[0].cell("forget/probability").spread == ""
    assert found[1].cell("none/such").reason == "not part of its evaluations"


def test_how_often_a_run_is_saved_makes_no_other_method(tmp_path: Path) -> None:
    for seed, every in ((0, "20 steps"), (1, "60 steps")):
        stage = {"name": "unlearn", "method": {"name": "npo"}, "duration": "60 steps", "checkpoint_every": every}
        made(tmp_path / f"s{seed}", seed=seed, recipe={"stages": [stage]})
    kept, _ = entries([tmp_path])
    assert [(row.label, row.seeds) for row in methods(kept)] == [("npo", 2)]


def test_rows_of_one_method_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    made(tmp_path / "slow", learning_rate=1e-4)
    made(tmp_path / "fast", learning_rate=1e-2, recipe={"format": {"system": "Be brief."}})
    made(tmp_path / "gd", method="graddiff", learning_rate=1e-4)
    kept, _ = entries([tmp_path])
    rows = methods(kept)
    assert [row.label for row in rows] == [
        "graddiff",
        "npo, learning rate 0.0001",
        "npo, learning rate 0.01, format.system Be brief.",
    ]
    assert (
        "learning_rate",
        [("0.0001", "graddiff and npo, learning rate 0.0001"), ("0.01", rows[2].label)],
    ) in differing(rows)
    assert not any(key.startswith("method") for key, _ in differing(rows))


def test_runs_of_no_known_recipe_are_never_one_row(tmp_path: Path) -> None:
    made(tmp_path / "a", digests=None)
    made(tmp_path / "b", digests=None)
    for name in ("a", "b"):
        import json

        file = tmp_path / name / "results.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "recipe": {}}))
    kept, left_out = entries([tmp_path])
    assert not left_out and [row.label for row in methods(kept)] == ["npo #1", "npo #2"]
