"""`forget run`: what it prints, and a dry run that writes nothing."""

import json
from pathlib import Path

import pytest

from tests.cli.command import command


def test_a_dry_run_tells_memory_disk_and_time_and_writes_nothing(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = command(capsys, "run", recipe_file, "--dry-run")
    assert code == 0
    for what in ("memory", "disk", "time"):
        assert f"# {what}: about " in out
    code, out, _ = command(capsys, "run", recipe_file, "--dry-run", "--json")
    found = json.loads(out)["estimate"]
    assert found["peak_bytes"] > 0
    assert found["disk_bytes"] == sum(found["disk"].values())
    assert found["seconds"]["training"] > 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_prints_its_table_or_its_results(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(capsys, "run", recipe_file, "duration=1 steps")
    assert code == 0
    assert f"report: {tmp_path / 'runs' / 'run' / 'report.html'}" in out and "forget · probability ↓" in out
    assert "stage unlearn" in err
    code, out, err = command(capsys, "run", recipe_file, "duration=1 steps", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["status"] == "complete"


@pytest.mark.parametrize("change", ["learning_rat=1", "duration=5", "nothing"])
def test_a_mistake_is_one_line_and_code_2(
    change: str, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = command(capsys, "run", recipe_file, change)
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("forget: ")
    assert not (tmp_path / "runs").exists()
