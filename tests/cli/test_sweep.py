"""`forget sweep`: what it prints, and how it ends."""

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml

from forgetting import cli
from forgetting.pipeline.sweep import run as sweep_module
from forgetting.pipeline.sweep.engines.local import Processes
from tests.pipeline.sweep.test_run import Here


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["forget", "sweep", *arguments])
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def sweep_file(recipe_file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One run that goes well and one whose data are missing, done in this process."""
    monkeypatch.setattr(Processes, "map", lambda self, work, tasks: Here().map(work, tasks))
    data = {"good": {"data.forget": str(world / "forget.jsonl")}, "bad": {"data.forget": str(tmp_path / "none.jsonl")}}
    settings = {"threads": 1, "duration": "1 steps", "evaluate_every": None}
    file = {"name": "tiny", "recipe": "recipe.yaml", "set": settings, "grid": {"data": data}}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    return path


def test_without_a_file_the_built_in_sweeps_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "--json")
    assert code == 0
    assert "forget sweep lab-methods" in json.loads(out)["lab-methods"]
    assert "lab-ranks" in command(capsys)[1]


def test_a_dry_run_lists_the_runs_and_writes_nothing(
    sweep_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, str(sweep_file), "learning_rate=0.5", "--dry-run", "--json")
    found = json.loads(out)
    assert code == 0
    assert [(run["name"], run["status"]) for run in found["runs"]] == [("good", "not run"), ("bad", "not run")]
    assert "learning_rate=0.5" in found["runs"][0]["overrides"]
    assert not (tmp_path / "runs").exists()
    assert "good" in command(capsys, str(sweep_file), "--dry-run")[1]
    code, out, err = command(capsys, str(sweep_file), "--engine", "locl", "--dry-run")
    assert (code, out) == (2, "") and err == "forget: --engine locl: did you mean 'local'?\n"


def test_the_table_is_printed_and_a_failure_ends_the_command_with_its_name(
    sweep_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(capsys, str(sweep_file), "--output", str(tmp_path / "out"))
    assert code == 2
    assert "forget · probability ↓" in out
    assert "the run failed" in out and "bad failed: " in out
    last = err.strip().splitlines()[-1]
    assert last.startswith("forget: 1 of 2 runs failed (bad)") and "--retry" in last
    code, out, _ = command(capsys, str(sweep_file), "--output", str(tmp_path / "out"), "--json")
    found = json.loads(out)
    assert code == 2
    assert [row["measured"] for row in found["rows"]] == [1, 0]
    assert found["cautions"][0].startswith("bad failed: ")


@pytest.mark.parametrize("sent", [130, 143])
def test_a_signal_ends_with_how_to_go_on(
    sent: int, sweep_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM if sent == 143 else signal.SIGINT)

    monkeypatch.setattr(sweep_module, "run", interrupted)
    code, _, err = command(capsys, str(sweep_file))
    assert code == sent
    assert "run the same command to resume" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "rya"], "did you mean 'ray'?"),
        (["--address", "auto"], "--address is an option of --engine ray"),
        (["--engine", "ray"], "pip install 'forgetting[ray]'"),
    ],
)
def test_an_engine_that_cannot_be_had_is_one_line(
    options: list[str],
    said: str,
    sweep_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else found(name, *rest))
    code, out, err = command(capsys, str(sweep_file), *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and said in err
    assert not (tmp_path / "runs").exists()


def test_a_mistake_is_one_line(sweep_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, str(sweep_file), "learning_rat=1")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and "did you mean 'learning_rate'?" in err
