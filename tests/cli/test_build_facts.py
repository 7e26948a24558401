"""`forget build facts`: a table and a model in, a folder out."""

import json
from pathlib import Path

import pytest

from forgetting.benchmarks.untrained_model import blank_model
from tests.cli.test_build import command
from tests.conftest import write_rows

ROWS = [
    {"subject": f"Town{i}", "relation": "country", "object": ("Aland", "Borduria")[i % 2], "views": i}
    for i in range(40)
]


def test_steps_confounders_files_and_credit_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = write_rows(tmp_path / "f.jsonl", ROWS), tmp_path / "out"
    credit = ["--credit", "Town list", "--licence", "CC0"]
    assert command("facts", file, "--popularity", "views", "--percent", 10, "--out", out, *credit) == 0
    said = capsys.readouterr().out
    for part in ("read: 40", "plain 10%", "matched 10%", "sets and build.json", "Town list (CC0)"):
        assert part in said
    assert (out / "build.json").is_file()


def test_a_model_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_rows(tmp_path / "f.jsonl", ROWS)
    blank_model(
        tmp_path / "model", [write_rows(tmp_path / "t.jsonl", [{"text": "Aland Borduria"}])], hidden=32, layers=1
    )
    asking = ["--known-by", tmp_path / "model", "--ask", 5, "--set", "max_new_tokens=2"]
    assert command("facts", file, "--popularity", "views", "--out", tmp_path / "out", *asking) == 2
    assert "the model knows none of 5 facts" in capsys.readouterr().err
    (answers,) = (tmp_path / ".cache" / "facts").rglob("*.jsonl")
    assert len(answers.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--matched", "size"], "matched: 'size' is neither relation nor answer"),
        (["--popularity", "vews"], "did you mean 'views'"),
        (["--column", "subject"], "column: 'subject' is not FIELD=COLUMN"),
        (["--column", "subjct=a"], "did you mean 'subject'"),
        (["--relations", "contry"], "did you mean 'country'"),
        (["--popularity", "views", "--percent", "0"], "percent is 0"),
        (["--set", "max_new_tokens=3"], "--set says how a model is asked, and none is; name one with --known-by"),
        (["--known-by", "lab", "--set", "evaluate=[lab]"], "'evaluate' has no meaning where a model is asked"),
    ],
)
def test_a_slip_is_one_line(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_rows(tmp_path / "f.jsonl", ROWS)
    assert command("facts", file, "--out", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_program_reads_the_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_rows(tmp_path / "f.jsonl", ROWS)
    assert command("facts", file, "--popularity", "views", "--out", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["facts_left_after_each_step"]["read"] == 40
