"""`forget push`: what would be uploaded."""

from pathlib import Path

import pytest

from tests.cli.command import command


def test_a_run_is_prepared_for_the_hub(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = command(capsys, "push", run_folder, "me/mine", "--prepare-only", tmp_path / "hub")
    assert code == 0
    assert (tmp_path / "hub" / "README.md").is_file()
