"""`forget compare`: two runs side by side."""

import json
import shutil
from pathlib import Path

import pytest

from forgetting.core.sealed import unsealed
from forgetting.runs.reading import write_object
from tests.cli.command import command


def test_runs_are_compared(
    finished: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = shutil.copytree(finished, tmp_path / "runs" / "two")
    results = unsealed(json.loads((two / "results.json").read_text()))
    write_object(two / "results.json", {**results, "name": "two"})
    code, out, _ = command(capsys, "compare", run_folder, two)
    assert code == 0
    assert (run_folder.parent / "one+two.compare.html").is_file()
    code, _, said = command(capsys, "compare", run_folder, two, "--out", two / "report.html")
    assert code == 2
    assert "is the report of the run in that folder; name another file" in said
    assert "two − one" in out
    values = json.loads(command(capsys, "compare", run_folder, two, "--out", tmp_path / "c.html", "--json")[1])
    assert values["runs"] == ["one", "two"]
    assert (tmp_path / "c.html").is_file()
