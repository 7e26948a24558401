"""A run or a sweep while it goes on, in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting.core.locks import locked
from forgetting.report.watched import sparkline, watched
from forgetting.runs.folder import RunFolder
from forgetting.runs.stage_result import Step
from forgetting.runs.sweep import SweepFolder
from tests.report.fixtures import IHL_RUN, write_run
from tests.runs.going import going


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "▁▂▃▄▅▆▇█"),
        ([1.0, 1.0], "▁▁"),
        ([0.0, None, float("nan"), float("inf"), 8.0], "▁···█"),
        ([None], "·"),
        ([], ""),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest(values: list[float | None], bars: str) -> None:
    assert sparkline(values) == bars


def test_a_long_sparkline_is_averaged() -> None:
    assert sparkline([0.0, 2.0, 8.0, 8.0, 0.0], width=3) == "▂█▁"  # means 1, 8, 0


def test_a_running_run_says_loss_by_term_what_is_left_and_the_time(tmp_path: Path) -> None:
    with locked(going(tmp_path / "run")):
        found = watched(tmp_path / "run")
    assert found.goes_on
    assert found.headline == "run: running; stage unlearn, step 34 of 60; about 25 s of training left"
    losses, measures = found.tables
    assert losses[0][0] == "loss of unlearn at step 34"
    assert [row[:3] for row in losses[1]] == [
        ["sum", "−3.40", ""],
        ["forget", "3.40", "−1.00"],
        ["retain", "0.0294", "1.00"],
    ]
    assert measures[0] == ["measure", "before", "step 24 of unlearn"]
    assert measures[1][0] == ["forget · probability ↓", "0.900 (0.850–0.950)", "0.660 (0.610–0.710)"]


def test_unknown_time_is_said(tmp_path: Path) -> None:
    with locked(going(tmp_path / "run", steps=0)):
        assert watched(tmp_path / "run").headline == "run: running; stage unlearn, first step; time left unknown"
    with locked(going(tmp_path / "early", steps=5)):
        assert watched(tmp_path / "early").headline.endswith("about 28 s of training left, evaluations not counted")
    with locked(going(tmp_path / "two", stages=("learn", "unlearn"))):
        found = watched(tmp_path / "two")
    assert found.headline.endswith("about 25 s left in this stage, of later ones unknown")
    assert found.tables[-1][1] == [
        ["learn", "graddiff", "running", "34 of 60"],
        ["unlearn", "graddiff", "waiting", "0 of 60"],
    ]


def test_a_run_that_was_killed_says_what_to_do(tmp_path: Path) -> None:
    found = watched(going(tmp_path / "run"))
    assert not found.goes_on
    said = "run: stopped; stage unlearn, step 34 of 60; no process runs it: start it again to resume it"
    assert found.headline == said


def test_a_finished_run(tmp_path: Path) -> None:
    found = watched(write_run(tmp_path / "ihl", IHL_RUN))
    assert (found.headline, found.goes_on, found.values["state"]) == ("ihl: finished", False, "complete")
    assert found.values["measures"]["after of unlearn"]["forget/probability"]["value"] == 0.19


def test_a_sweep_is_a_line_for_each_run(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write_planned(["now", "done", "next"])
    write_run(tmp_path / "done", IHL_RUN)
    with locked(tmp_path), locked(going(tmp_path / "now")):
        found = watched(tmp_path)
    assert found.goes_on
    assert found.headline == f"{tmp_path.name}: 3 runs: 1 running, 1 waiting, 1 finished; about 39 s left"
    ((heads, rows),) = found.tables
    assert [row[:3] for row in rows] == [
        ["now", "running", "34 of 60"],
        ["next", "waiting", "—"],
        ["done", "finished", "60 of 60"],
    ]
    assert rows[0][heads.index("time left")] == "25 s" and rows[1][heads.index("time left")] == "—"


def test_other_programs_get_numbers_that_json_has(tmp_path: Path) -> None:
    folder = going(tmp_path / "run")
    spoilt = Step(step=35, epoch=7.0, loss=float("nan"), terms={"forget": float("inf")}, weights={"forget": -1.0})
    RunFolder(folder).stage("unlearn").append_step(spoilt)
    (stage,) = json.loads(json.dumps(watched(folder).values, allow_nan=False))["stages"]
    assert (stage["step"], stage["loss"], stage["terms"]) == (35, None, {"forget": None})
