"""`forget eval`: a model measured on files."""

import json
from pathlib import Path

import pytest

from forgetting.core.record import read_records
from tests.cli.command import command


def test_a_model_is_measured_on_files(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tmp_path / "records.jsonl"
    files = ("--forget", world / "forget.jsonl", "--retain", world / "retain.jsonl")
    code, out, err = command(capsys, "eval", world / "model", *files, "--records", records, "--json")
    assert (code, err) == (0, "")
    measures = {f"{m['split']}/{m['name']}": m for m in json.loads(out)["measures"]}
    assert measures["forget/probability"]["count"] == 12 and measures["retain/probability"]["count"] == 16
    assert len(read_records(records)) == 28
    code, out, _ = command(capsys, "eval", world / "model", *files)
    assert code == 0 and out.splitlines()[0].split()[:3] == ["split", "metric", "value"]
