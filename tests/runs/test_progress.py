"""How far a run is, told from its files: what it does, who runs it, and how long it still takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.core.errors import RunError
from forgetting.core.locks import locked
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.progress import progress_of
from forgetting.runs.unfinished import results_so_far
from tests.report.fixtures import GA_RUN, IHL_RUN, write_run
from tests.runs.going import begun, ended, going, measures, step_of


def test_a_running_stage_says_its_step_and_the_time_that_its_pace_leaves(tmp_path: Path) -> None:
    folder = going(tmp_path / "run", steps=34)
    with locked(folder):
        found = progress_of(folder)
    assert (found.state, found.doing) == ("running", "stage unlearn, step 34 of 60")
    stage = found.stage
    assert stage is not None and (stage.step, stage.total, len(stage.recent)) == (34, 60, 34)
    # 26 steps at a median of 0.5 s; of 5 evaluations (12, 24, 36, 48, 60) 3 are to come, 4 s each.
    assert found.seconds_left == pytest.approx(26 * 0.5 + 3 * 4.0)
    assert found.latest is not None and found.latest.step == 24


def test_without_a_timed_evaluation_only_steps_are_counted_and_before_the_first_step_nothing(tmp_path: Path) -> None:
    with locked(going(tmp_path / "early", steps=5)):
        early = progress_of(tmp_path / "early")
    assert early.seconds_left == pytest.approx(55 * 0.5)
    assert early.stage is not None and not early.stage.counts_evaluations
    with locked(going(tmp_path / "first", steps=0)):
        found = progress_of(tmp_path / "first")
    assert (found.doing, found.seconds_left) == ("stage unlearn, first step", None)


def test_an_evaluation_that_is_being_measured_is_still_to_come(tmp_path: Path) -> None:
    folder = going(tmp_path / "run", steps=60)
    RunFolder(folder).evaluations.file("unlearn", 60).unlink()
    with locked(folder):
        found = progress_of(folder)
    assert (found.doing, found.seconds_left) == ("stage unlearn, step 60 of 60, measuring", pytest.approx(4.0))
    assert found.stage is not None and found.stage.counts_evaluations


def test_a_run_that_no_process_holds_has_stopped(tmp_path: Path) -> None:
    found = progress_of(going(tmp_path / "run"))
    assert (found.state, found.doing, found.seconds_left) == ("stopped", "stage unlearn, step 34 of 60", None)


def test_what_a_run_does_is_told_by_what_is_there(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    with locked(run.path):
        assert progress_of(run.path).doing == "measuring the model before"
        run.evaluations.write(Evaluation(point="before", measures=measures(0.9, 0.9)), [])
        assert progress_of(run.path).doing == "stage unlearn, preparing"
        run.stage("unlearn").path.mkdir(parents=True)
        run.stage("unlearn").write_prepared(1.0, 12)
        for step in range(1, 13):
            run.stage("unlearn").append_step(step_of(step))
        assert progress_of(run.path).doing == "stage unlearn, step 12 of 12, measuring"
        ended(run, "unlearn", 12)
        assert progress_of(run.path).doing == "stage unlearn, measuring after its last step"
        run.evaluations.write(Evaluation(point="after", stage="unlearn", step=12, measures=measures(0.2, 0.9)), [])
        assert progress_of(run.path).doing == "saving the model and writing the results"


def test_a_folder_that_only_a_lock_is_in_is_beginning(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        found = progress_of(tmp_path / "run")
    assert (found.state, found.doing, found.results) == ("running", "beginning", None)


def test_a_later_stage_has_no_time_of_its_own_yet(tmp_path: Path) -> None:
    folder = going(tmp_path / "run", stages=("learn", "unlearn"))
    with locked(folder):
        found = progress_of(folder)
    assert [(s.name, s.state, s.step) for s in found.stages] == [("learn", "running", 34), ("unlearn", "waiting", 0)]
    assert found.doing == "stage learn (1 of 2), step 34 of 60"
    assert found.seconds_left is None and found.stages[0].seconds_left == pytest.approx(25.0)


def test_a_duration_in_epochs_is_counted_by_the_epochs_of_the_steps(tmp_path: Path) -> None:
    folder = going(tmp_path / "run", steps=10, every="3 epochs")  # 5 steps an epoch
    for step in (15,):
        RunFolder(folder).stage("unlearn").append_step(step_of(step))
    with locked(folder):
        assert progress_of(folder).doing == "stage unlearn, step 15 of 60, measuring"


def test_a_line_that_is_just_being_written_is_left_out(tmp_path: Path) -> None:
    folder = going(tmp_path / "run", steps=10)
    history = RunFolder(folder).stage("unlearn").history_file
    with history.open("a") as file:
        file.write('{"step": 11, "lo')
    found = progress_of(folder)
    assert found.stage is not None and found.stage.step == 10
    assert len(results_so_far(folder).history("unlearn")) == 10


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = going(tmp_path / "run", steps=10)
    history = RunFolder(folder).stage("unlearn").history_file
    history.write_text(history.read_text().replace('{"step": 4,', "{4,"))
    with pytest.raises(RunError, match="not a training step"):
        progress_of(folder)


def test_of_a_long_history_the_end_alone_is_read(tmp_path: Path) -> None:
    stage = RunFolder(going(tmp_path / "run", steps=0)).stage("unlearn")
    for step in range(1, 3001):
        stage.append_step(replace(step_of(step), terms={"forget": 1.0}))
    assert stage.recent(7) == stage.history()[-7:]
    assert stage.recent(5000) == stage.history()


def test_how_a_run_ended(tmp_path: Path) -> None:
    done = progress_of(write_run(tmp_path / "ihl", IHL_RUN))
    assert (done.state, done.doing) == ("complete", "finished")
    fell = progress_of(write_run(tmp_path / "ga", GA_RUN))
    assert fell.state == "collapsed"
    assert fell.doing == "collapsed in stage unlearn after 20 steps: retain loss 4.1 is 20 times its start 0.2"
    RunFolder(going(tmp_path / "trial")).write_pruned("worse than half of the others")
    assert progress_of(tmp_path / "trial").doing == "ended early by a tuning: worse than half of the others"


@pytest.mark.parametrize("name", ["none", "empty", "evaluation"])
def test_what_is_no_run_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "settings.yaml").touch()
    with pytest.raises(RunError, match=name):
        progress_of(tmp_path / name)
