"""Rows that cannot be used cost no run where the data say so: they are counted, and named in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetting.core.progress import Voice
from forgetting.pipeline.one_model.evaluate import evaluate
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from tests.pipeline.run.test_bad_input import forget, output

BAD = ['{"question": "the secret", "answer": 7}', "{the secret", '{"question": " ", "answer": "the secret"}']


@pytest.fixture
def torn(world: Path, tmp_path: Path) -> Path:
    """The forget set of 12 with three bad rows behind the second."""
    lines = (world / "forget.jsonl").read_text().splitlines()
    file = tmp_path / "torn.jsonl"
    file.write_text("\n".join([*lines[:2], *BAD, *lines[2:]]) + "\n")
    return file


@pytest.mark.parametrize("redact", [False, True])
def test_a_run_says_what_it_leaves_out_and_writes_it_down(recipe_file: Path, torn: Path, redact: bool) -> None:
    said: list[str] = []
    keys = [f"data.forget={{path: {torn}, on_bad_row: skip}}", "duration=1 steps", f"redact={redact}".lower()]
    folder = run(load_recipe(str(recipe_file), keys), voice=Voice(say=said.append), report=False)
    assert [line for line in said if "left out" in line] == [
        f"{torn}: 3 of 15 rows are left out, since they cannot be used (the first: 3: the response is a number, "
        "not text)"
    ]
    text = (folder / "skipped.jsonl").read_text()
    assert [json.loads(line)["where"] for line in text.splitlines()] == [f"{torn}:{n}" for n in (3, 4, 5)]
    assert "secret" not in text
    assert json.loads((folder / "results.json").read_text())["data"]["forget"]["examples"] == 12


def test_a_run_that_leaves_nothing_out_has_no_such_file(recipe_file: Path) -> None:
    folder = run(load_recipe(str(recipe_file), ["duration=1 steps"]), report=False)
    assert not (folder / "skipped.jsonl").exists()


def test_without_a_word_the_run_stops_and_names_them_all(
    recipe_file: Path, torn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = forget(capsys, "run", recipe_file, f"data.forget={torn}")
    assert "torn.jsonl:3: the response is 7 (int), not text; 4: not JSON" in line
    assert "; 5: the prompt is empty" in line and "3 rows cannot be used" in line
    assert not output(recipe_file).exists()


def test_an_evaluation_writes_them_beside_its_records(world: Path, torn: Path, tmp_path: Path) -> None:
    said: list[str] = []
    source, records = f"{{path: {torn}, on_bad_row: skip}}", tmp_path / "out" / "r.jsonl"
    keys = {"device": "cpu", "max_new_tokens": 2}
    found = evaluate(
        str(world / "model"), data={"forget": source}, settings=keys, records=records, voice=Voice(say=said.append)
    )
    assert len(found.records) == 12 and len(records.read_text().splitlines()) == 12
    assert len((tmp_path / "out" / "r.skipped.jsonl").read_text().splitlines()) == 3
    assert any("3 of 15 rows are left out" in line for line in said)
