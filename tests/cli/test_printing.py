"""All that the command prints passes through functions that spell out what a terminal would obey."""

import ast
import json
from pathlib import Path

import pytest

import forgetting.cli
from forgetting.cli.printing import print_goals, print_json, print_line, print_table
from forgetting.metrics.movement import Movement
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from forgetting.runs.stage_result import StageResult
from tests.cli.command import command
from tests.report.verdict.recorded import recorded, spread

FILES = sorted(Path(forgetting.cli.__file__).parent.glob("*.py"))
EVIL = "\x1b[31m\x1b]0;t\x07\u202e"


def calls(file: Path) -> set[str]:
    found = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {ast.unparse(function) for function in found}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_other_file_of_the_command_prints(file: Path) -> None:
    own = {"print"} if file.name == "printing.py" else set()
    assert calls(file) & {"print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"} == own


def test_escapes_are_spelled_out_in_lines_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(EVIL)
    print_table([EVIL], [[EVIL]])
    print_json({"answer": EVIL})
    out, _ = capsys.readouterr()
    assert not set(out) & set("\x1b\x07\u202e")
    assert json.loads(out.splitlines()[-1]) == {"answer": EVIL}


def test_a_terminal_says_of_goals_and_earlier_requests_what_the_report_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It advised a higher rate where the report, which had seen the loss, advised a lower one."""
    moved = Movement("forget/probability", 0.9, 0.88, 0.0, "")
    stage = StageResult(name="unlearn", method="npo", steps=100, moved=moved, learning_rate=1e-4, stopped="duration")
    found = recorded(
        tmp_path / "run",
        before={"forget": spread(0.9), "retain": spread(0.9)},
        after={"forget": spread(0.88), "retain": spread(0.2)},
        stages=(stage,),
        earlier=("first",),
    )
    monkeypatch.setattr(Results, "load", staticmethod(lambda folder: found))
    print_goals(tmp_path)
    out = capsys.readouterr().out.splitlines()
    assert out == [f.text for f in verdict(found).findings if f.topic in ("Movement", "Earlier requests")]
    assert out[0].endswith("Try stages.unlearn.learning_rate=3e-05, or more retain data.")
    assert out[1].startswith("The model comes from first. What was forgotten there is not measured here")


def test_an_error_that_quotes_escapes_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, "run", "lab", f"data.forget=/no{EVIL}.jsonl")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not set(err) & set("\x1b\x07\u202e")
