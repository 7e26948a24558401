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


def test_rows_that_are_left_out_are_told_once_and_written_down(
    world: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_text((world / "retain.jsonl").read_text() + '{"question": "x", "answer": null}\n')
    asked = ("score", world / "model", f"{{path: {torn}, on_bad_row: skip}}", "--reference", finished / "model")
    for extra, skipped in (((), "scores/scored.skipped.jsonl"), (("--out", tmp_path / "o.parquet"), "o.skipped.jsonl")):
        code, out, err = command(capsys, *asked, "--scores", tmp_path / "scores", *extra)
        assert code == 0 and (out + err).count("1 of 17 rows are left out") == 1
        (line,) = (tmp_path / skipped).read_text().splitlines()
        assert json.loads(line) == {"where": f"{torn}:17", "reason": "the response is null, not text"}


def test_every_file_is_looked_at_before_the_work(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, scores = world / "model", tmp_path / "scores"
    data = (world / "retain.jsonl", tmp_path / "none.jsonl")
    code, _, said = command(capsys, "score", model, *data, "--reference", model, "--scores", scores)
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"forget: {tmp_path / 'none.jsonl'}: no such file")
    assert not scores.exists()


def test_a_reference_that_cannot_be_loaded_leaves_no_folder(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("score", world / "model", world / "retain.jsonl", "--reference", tmp_path / "none")
    code, _, said = command(capsys, *asked, "--scores", tmp_path / "scores")
    assert code == 2 and f"forget: {tmp_path / 'none'}: " in said
    assert not (tmp_path / "scores").exists()
