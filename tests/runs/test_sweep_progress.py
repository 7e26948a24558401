"""How far the runs of a sweep are, told from its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.locks import locked
from forgetting.runs.progress import RunProgress
from forgetting.runs.sweep import SweepFolder, SweepResults
from forgetting.runs.sweep_progress import holds_runs, sweep_progress_of
from tests.report.fixtures import IHL_RUN, write_run
from tests.report.sweeps import run as point
from tests.report.sweeps import write_sweep
from tests.runs.going import going

PLANNED = ["done", "other", "now", "broken", "cut", "later"]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep with a point in every state."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    SweepFolder(folder).write_planned(PLANNED)
    SweepFolder(folder).write_failures({"broken": "no such file"})
    write_run(folder / "done", replace(IHL_RUN, seconds=20.0))
    write_run(folder / "other", IHL_RUN)
    going(folder / "now", steps=34)
    going(folder / "cut", steps=12)
    return folder


def test_every_point_has_its_state(sweep: Path) -> None:
    with locked(sweep), locked(sweep / "now"):
        found = sweep_progress_of(sweep)
    states = {p.name: p.state for p in found.points}
    assert states == {
        "done": "complete",
        "other": "complete",
        "now": "running",
        "broken": "failed",
        "cut": "waiting",
        "later": "waiting",
    }
    assert found.goes_on and found.planned
    # One at a time: 25 s of the running one (see test_progress), two to come of 14.2 s, as the finished ones took.
    assert found.seconds_left == pytest.approx(25.0 + 2 * 14.2)


def test_a_sweep_that_no_process_runs_is_not_going_on(sweep: Path) -> None:
    found = sweep_progress_of(sweep)
    assert [p.state for p in found.points] == ["complete", "complete", "stopped", "failed", "stopped", "not run"]
    assert not found.goes_on and found.seconds_left is None


def test_before_a_run_is_finished_the_time_left_is_unknown(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write_planned(["a", "b"])
    with locked(tmp_path), locked(going(tmp_path / "a")):
        assert sweep_progress_of(tmp_path).seconds_left is None


def test_runs_that_ended_are_read_once(sweep: Path) -> None:
    ended: dict[Path, RunProgress] = {}
    sweep_progress_of(sweep, ended)
    assert {path.name for path in ended} == {"done", "other"}
    (sweep / "done" / "results.json").write_text("{")
    assert sweep_progress_of(sweep, ended).count("complete") == 2


def test_a_finished_sweep_knows_its_runs_and_a_folder_of_runs_those_in_it(tmp_path: Path) -> None:
    runs = [point("a", "1", {"forget/probability": 0.1}), point("b", "1", {"forget/probability": 0.2})]
    folder = write_sweep(tmp_path / "sweep", runs)
    assert [p.state for p in sweep_progress_of(folder).points] == ["not run", "not run"]
    write_run(tmp_path / "runs" / "one", IHL_RUN)
    found = sweep_progress_of(tmp_path / "runs")
    assert ([p.name for p in found.points], found.planned) == (["one"], False)
    assert holds_runs(folder) and holds_runs(tmp_path / "runs") and not holds_runs(tmp_path / "runs" / "one")


def test_the_plan_goes_when_there_are_results(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "sweep", [point("a", "1", {"forget/probability": 0.1})])
    results = SweepResults.load(folder)
    SweepFolder(folder).write_planned(["a"])
    assert SweepFolder(folder).planned() == ["a"]
    SweepFolder(folder).write_results(results)
    assert SweepFolder(folder).planned() == []
