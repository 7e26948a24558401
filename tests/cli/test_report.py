"""`forget report`: the page and the main table."""

import json
from pathlib import Path

import pytest

from tests.cli.command import command


def test_the_page_is_written_and_the_table_printed(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(capsys, "report", run_folder, "--title", "A title of mine")
    assert code == 0
    assert "forget · probability ↓" in out and f"report: {run_folder / 'report.html'}" in out
    assert "A title of mine" in (run_folder / "report.html").read_text()
    found = json.loads(command(capsys, "report", run_folder, "--out", tmp_path / "r.html", "--json")[1])
    assert found["report"] == str(tmp_path / "r.html") and (tmp_path / "r.html").is_file()
