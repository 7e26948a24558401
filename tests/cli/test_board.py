"""`forget board`: the tables printed, the page written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.command import command
from tests.report.board.made import made


def test_the_tables_are_printed_and_the_page_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "runs" / "a")
    made(tmp_path / "runs" / "b", seed=1)
    made(tmp_path / "runs" / "c", suite="tofu")
    code, out, err = command(capsys, "board", tmp_path / "runs", "--out", tmp_path / "b.html", "--title", "Ours")
    assert (code, err) == (0, "")
    assert "npo (2 seeds)" in out and "not comparable with table 1: is measured by another suite (tofu)" in out
    assert out.endswith(f"page: {tmp_path / 'b.html'}\n") and "<h1><bdi>Ours" in (tmp_path / "b.html").read_text()


def test_the_page_goes_here_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    found = json.loads(command(capsys, "board", "runs", "--json")[1])
    assert found["page"] == "board.html" and (tmp_path / "board.html").is_file()


def test_a_real_run_stands_on_it(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run_folder, run_folder.parent / "again")
    out = command(capsys, "board", run_folder.parent, "--out", run_folder.parent / "b.html")[1]
    assert "graddiff" in out and "left out: one (one) is one (again) again" in out


@pytest.mark.parametrize("form", ["csv", "md", "latex"])
def test_other_forms_are_printed_or_written(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "runs" / "a")
    code, printed, _ = command(capsys, "board", tmp_path / "runs", "--format", form)
    assert code == 0 and "npo" in printed and not (tmp_path / "board.html").exists()
    suffix = {"csv": ".csv", "md": ".md", "latex": ".tex"}[form]
    command(capsys, "board", tmp_path / "runs", "--format", form, "--out", tmp_path / f"b{suffix}")
    assert (tmp_path / f"b{suffix}").read_text().strip() == printed.strip()
    code, _, said = command(capsys, "board", tmp_path / "runs", "--format", form, "--out", tmp_path / "b.html")
    assert code == 2 and len(said.splitlines()) == 1 and not (tmp_path / "b.html").exists()
    assert command(capsys, "board", tmp_path / "runs", "--format", form, "--json")[0] == 2
