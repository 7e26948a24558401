"""`forget push`: what would be uploaded."""

from pathlib import Path

import pytest

from tests.cli.command import command


def test_a_run_is_prepared_for_the_hub(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = ("push", run_folder, "me/mine", "--prepare-only", tmp_path / "hub")
    code, _, said = command(capsys, *hub)
    assert code == 2
    assert "Stage unlearn moved only 2% of the way" in said and "Add --despite-failure" in said
    assert not (tmp_path / "hub").exists()
    code, _, _ = command(capsys, *hub, "--despite-failure")
    assert code == 0
    assert (tmp_path / "hub" / "README.md").is_file()
