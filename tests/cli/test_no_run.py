"""A path that is no run and holds none: every command says what it is and what to name instead."""

from pathlib import Path

import pytest

from tests.cli.command import command

RUN = "name the folder of a run"
COMMANDS = {
    ("watch", "PATH"): "name the folder of a run or of a sweep",
    ("watch", "PATH", "--json"): "name the folder of a run or of a sweep",
    ("report", "PATH"): RUN,
    ("report", "PATH", "--format", "md"): RUN,
    ("board", "PATH"): "name folders of runs, or of sweeps",
    ("compare", "PATH", "PATH"): RUN,
    ("audit", "PATH"): RUN,
    ("analyse", "PATH"): RUN,
    ("purge", "PATH"): RUN,
    ("export", "open-unlearning", "PATH", "out"): RUN,
    ("export", "inspect", "PATH", "out"): RUN,
}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_it_is_one_line_and_code_2_and_nothing_is_written(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    faults = {"empty": "is no run and holds none", "file": "is a file", "absent": "no such folder"}
    for path, fault in faults.items():
        said = command(capsys, *(path if argument == "PATH" else argument for argument in arguments))
        assert said == (2, "", f"forget: {path}: {fault}; {COMMANDS[arguments]}\n")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "empty", tmp_path / "file"]
