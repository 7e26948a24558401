"""`forget find`: a forget set elsewhere in data."""

import json
from pathlib import Path

import pytest

from tests.cli.command import command
from tests.conftest import write_rows


def test_copies_are_found_and_written(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (world / "forget.jsonl").read_text().splitlines()[:2]]
    data = write_rows(tmp_path / "data.jsonl", [*rows, {"question": "Else?", "answer": "Nothing of it."}])
    out = tmp_path / "found.jsonl"
    code, said, _ = command(capsys, "find", world / "forget.jsonl", data, "--out", out)
    assert code == 0
    assert f"written: {out}" in said and "2 of 12 forget examples occur there" in said
    found = json.loads(command(capsys, "find", world / "forget.jsonl", data, "--json")[1])
    assert (found["forget"], found["forget_found"], found["out"]) == (12, 2, None)
