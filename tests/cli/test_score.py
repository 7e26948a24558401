"""`forget score`: answer tokens by a model and a reference."""

import json
from pathlib import Path

import pytest

from tests.cli.command import command


def test_tokens_are_scored_and_selected(
    world: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("score", world / "model", world / "retain.jsonl", "--reference", finished / "model")
    code, out, _ = command(capsys, *asked, "--scores", tmp_path / "scores", "--positives", 0.5, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["positive"] + found["negative"] + found["ignored"] == found["tokens"] > 16
    assert (tmp_path / "scores" / "selection.json").is_file()
    code, out, _ = command(capsys, *asked, "--scores", tmp_path / "scores", "--out", tmp_path / "signed.parquet")
    assert code == 0 and f"written: {tmp_path / 'signed.parquet'}" in out
