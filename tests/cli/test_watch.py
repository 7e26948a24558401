"""`forget watch`: one look where there is no terminal, a live one where there is."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from forgetting import terminal
from forgetting.core.errors import RunError
from forgetting.core.interruption import Interrupted
from forgetting.core.locks import locked
from forgetting.report.watched import Watched
from forgetting.terminal import watching
from tests.cli.command import command
from tests.runs.going import going


def test_in_a_pipe_it_looks_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(going(tmp_path / "run")):
        code, out, err = command(capsys, "watch", tmp_path / "run")
    assert (code, err) == (0, "")
    assert out.startswith("run: running; stage unlearn, step 34 of 60; about 25 s of training left\n")
    assert "forget · probability ↓" in out and "loss of unlearn at step 34" in out


def test_a_finished_run_and_a_folder_of_runs(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(capsys, "watch", run_folder)[1].startswith("one: finished\n")
    assert command(capsys, "watch", run_folder.parent)[1].startswith("runs: 1 run: 1 finished\n")


def test_it_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = going(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    command(capsys, "watch", folder)
    command(capsys, "watch", folder, "--json")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(command(capsys, "watch", going(tmp_path / "run"), "--json")[1])
    assert (found["run"], found["state"], found["seconds_left"]) == ("run", "stopped", None)
    assert found["stages"][0]["step"] == 34 and found["stages"][0]["total"] == 60


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A terminal that no one sees; the seconds that are slept."""
    slept: list[float] = []
    monkeypatch.setattr(terminal, "Console", lambda **_: Console(force_terminal=True, file=io.StringIO()))
    monkeypatch.setattr(terminal.time, "sleep", slept.append)
    yield slept


def look(number: int, *, goes_on: bool) -> Watched:
    return Watched(f"look {number}", ((["a"], [[str(number)]]),), {}, goes_on)


def test_in_a_terminal_it_looks_until_the_run_ends(screen: list[float]) -> None:
    looks = iter([look(1, goes_on=True), look(2, goes_on=True), look(3, goes_on=False)])
    assert watching(lambda _: next(looks), 0.5) == look(3, goes_on=False)
    assert screen == [0.5, 0.5]


def test_a_file_that_is_just_replaced_is_looked_at_again(screen: list[float]) -> None:
    answers = iter([look(1, goes_on=True), RunError("half-written"), look(2, goes_on=False)])

    def ask(_: object) -> Watched:
        answer = next(answers)
        if isinstance(answer, RunError):
            raise answer
        return answer

    assert watching(ask, 0.5) == look(2, goes_on=False)
    answers = iter([look(1, goes_on=True), RunError("damaged"), RunError("damaged")])
    with pytest.raises(RunError, match="damaged"):
        watching(ask, 0.5)


def test_ctrl_c_leaves_quietly_and_another_signal_does_not(
    screen: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(number: int) -> None:
        def end(_: float) -> None:
            raise Interrupted(number)

        monkeypatch.setattr(terminal.time, "sleep", end)

    asked(signal.SIGINT)
    assert watching(lambda _: look(1, goes_on=True), 0.5) is None
    asked(signal.SIGTERM)
    with pytest.raises(Interrupted):
        watching(lambda _: look(1, goes_on=True), 0.5)
