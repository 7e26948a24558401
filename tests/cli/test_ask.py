"""`forget ask`: answers before and after, side by side."""

import json
from pathlib import Path

import pytest

from forgetting.cli.ask import _first
from forgetting.pipeline.one_model.ask import Answer, Choice
from tests.cli.command import command


def test_a_run_is_asked(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "q.txt"
    file.write_text("Where does guest 2 live?\n")
    code, out, _ = command(capsys, "ask", finished, "Where does guest 1 live?", "--file", file, "--max-new-tokens", 3)
    assert code == 0
    assert out.count("before") == out.count("after ") == 2
    found = json.loads(command(capsys, "ask", finished, "Where does guest 1 live?", "--json")[1])
    assert [a["point"] for a in found["asked"]] == ["before", "after"]


def test_no_question_is_one_line_and_code_2(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, "ask", finished)
    assert (code, out, err.count("\n")) == (2, "", 1) and "empty question" in err


def test_a_small_probability_is_not_shown_as_none() -> None:
    """`0.000` would say that the model cannot write what it writes once in a few thousand times."""
    rare, likely = Choice(" b", 4e-4), Choice(" a", 0.9996)
    assert _first(Answer("", "", (likely,), ((likely, rare),)), 1) == ["' a' 1.000  ' b' <0.001"]


def test_a_model_and_a_run_are_asked_as_set(
    finished: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shots.jsonl"
    rows = [{"question": f"What is {i}?", "answer": f"Number {i}"} for i in range(4)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    how = ("--set", f"format.shots.source={file}", "--set", "format.prefix=It is", "--json", "--max-new-tokens", 2)
    for model, count in ((world / "model", 1), (finished, 2)):
        found = json.loads(command(capsys, "ask", model, "Where does guest 1 live?", *how)[1])["asked"]
        bare = json.loads(command(capsys, "ask", model, "Where does guest 1 live?", *how[4:])[1])["asked"]
        assert len(found) == count
        assert all(a["answers"][0]["first"] != b["answers"][0]["first"] for a, b in zip(found, bare, strict=True))
    code, out, err = command(capsys, "ask", finished, "Who?", "--set", "format.shots.role=holdout")
    assert (code, out) == (2, "") and "there are no holdout data to draw shots from" in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("data.retain=/nope.jsonl", "'data.retain' is not read here"),
        ("data.retain={}", "'data.retain' is not read here"),
        ("learning_rate=1", "'learning_rate' has no meaning where a model is asked"),
        ("evaluate=[lab]", "'evaluate' has no meaning where a model is asked; known: dtype, "),
        ("model=/nope", "'model' has no meaning"),
    ],
)
def test_what_is_not_used_to_ask_is_refused(
    finished: Path, world: Path, capsys: pytest.CaptureFixture[str], given: str, said: str
) -> None:
    for model in (world / "model", finished):
        code, out, err = command(capsys, "ask", model, "Who?", "--set", given.format(world / "retain.jsonl"))
        assert (code, out, err.count("\n")) == (2, "", 1) and said in err
