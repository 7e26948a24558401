"""`forget tune`: what it prints, and how it ends."""

import json
import sys
from pathlib import Path

import pytest

from forgetting.pipeline.sweep import run as sweep_module
from forgetting.pipeline.sweep.engines.local import Processes
from tests.cli.command import command
from tests.pipeline.sweep.test_run import Here
from tests.pipeline.sweep.test_tune import play, quick

pytest.importorskip("optuna")
__all__ = ["quick"]


@pytest.fixture
def played(quick: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trials that train nothing, in this process."""
    monkeypatch.setattr(Processes, "map", lambda self, work, tasks: Here().map(work, tasks))
    monkeypatch.setattr(sweep_module, "run", play)
    return quick


def test_trials_and_winners_are_printed(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(
        capsys, "tune", played, "--budget", "2", "--seeds", "1", "--output", tmp_path, "--name", "mine"
    )
    assert code == 0
    assert "0 chosen" in out or "1 chosen" in out
    assert "reported · balance ↑" in out
    for name in ("trials.csv", "sweep.csv", "report.html"):
        assert str(tmp_path / "mine" / name) in out.replace("\n", "") and (tmp_path / "mine" / name).is_file()
    code, out, _ = command(
        capsys, "tune", played, "--budget", "2", "--seeds", "1", "--output", tmp_path, "--name", "mine", "--json"
    )
    found = json.loads(out)
    assert code == 0 and [trial["number"] for trial in found["trials"]] == [0, 1]
    assert found["rows"][0]["values"]["reported/balance"]["n"] == 1


def test_a_dry_run_says_what_is_sought_where_and_writes_nothing(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("tune", played, "--methods", "graddiff, npo", "space.duration=null", "--output", tmp_path / "x")
    code, out, _ = command(capsys, *arguments, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["space"]["graddiff"] == {
        "learning_rate": "0.0002 to 0.02 (log)",
        "method.retain_weight": "0.1 to 10 (log)",
    }
    code, out, _ = command(capsys, *arguments, "--dry-run")
    assert code == 0 and "method.beta" in out and "20 trials of each method" in out
    assert not (tmp_path / "x").exists()


def test_a_mistake_is_one_line(played: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, "tune", played, "--methods", "graddif")
    assert (code, out, err.count("\n")) == (2, "", 1) and "did you mean 'graddiff'" in err
    code, out, err = command(capsys, "tune", played, "--engine", "locl", "--dry-run")
    assert (code, out) == (2, "") and err == "forget: --engine locl: did you mean 'local'?\n"


@pytest.mark.parametrize("option", ["--budget", "--seeds", "--processes"])
def test_a_number_that_no_machine_can_do_is_refused(
    played: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    code, out, err = command(capsys, "tune", played, option, 10**9, "--dry-run")
    assert (code, out) == (2, "") and option in err


def test_without_the_extra_one_line_says_what_to_install(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, out, err = command(capsys, "tune", played, "--output", tmp_path / "x")
    assert (code, out, err.count("\n")) == (2, "", 1) and "pip install 'forgetting[tune]'" in err
    assert not (tmp_path / "x").exists()
