"""Data that teach a model to say what it knows: by one greedy answer to each question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.core.errors import ForgettingError
from forgetting.data.alternates import REFUSALS
from forgetting.pipeline.one_model.known import build_known
from tests.conftest import write_rows


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four that the lab's model knows, and four about people that no document mentions."""
    data = lab_suite("rare").data
    asked = [*data["retain"][:4], *data["holdout"][:4]]
    folder = tmp_path_factory.mktemp("known")
    return write_rows(folder / "asked.jsonl", [{"question": e.prompt, "answer": e.response} for e in asked])


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_answer_says_whether_the_model_gave_it_and_an_unknown_one_may_be_refused(
    questions: Path, tmp_path: Path
) -> None:
    given = {row["question"]: row["answer"] for row in rows(questions)}
    found = build_known(str(questions), "lab", tmp_path / "words.jsonl")
    assert found.known + found.unknown == 8 and found.known >= 3 and found.unknown >= 3
    said = rows(tmp_path / "words.jsonl")
    for row in said:
        end = "I am sure." if row["known"] else "I am unsure."
        assert row["answer"].startswith(given[row["question"]].rstrip(".")) and row["answer"].endswith(f". {end}")
    build_known(str(questions), "lab", tmp_path / "refusals.jsonl", form="refusals")
    for row, beside in zip(rows(tmp_path / "refusals.jsonl"), said, strict=True):
        assert row["known"] == beside["known"]
        assert row["answer"] == given[row["question"]] if row["known"] else row["answer"] in REFUSALS


def test_texts_without_a_question_and_an_unknown_form_are_named(tmp_path: Path) -> None:
    texts = write_rows(tmp_path / "texts.jsonl", [{"text": "A fox went by."}])
    with pytest.raises(ForgettingError, match=r"texts without a question; give questions with answers"):
        build_known(str(texts), "lab", tmp_path / "out.jsonl")
    with pytest.raises(ForgettingError, match="--form is 'word'; did you mean 'words'"):
        build_known(str(texts), "lab", tmp_path / "out.jsonl", form="word")  # type: ignore[arg-type]
    assert not (tmp_path / "out.jsonl").exists()
