"""Logs of answers, one a line: read whatever of their columns is there, refused by line where a line is no answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.imports.answers import is_answers, read_answers, records_of


def write(path: Path, *lines: object) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def answer(index: int | None = None, split: str | None = "forget", **more: object) -> dict[str, object]:
    row: dict[str, object] = {"ground_truth": "ash", "generation": "ash bay", **more}
    return row | ({} if index is None else {"index": index}) | ({} if split is None else {"split": split})


def test_lines_are_answers_by_split_and_index_and_holdout_is_what_is_kept(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl.gz", answer(4), answer(7, generation=None), answer(0, "holdout", input="Who?"))
    found = [(r.id, r.split, r.prompt, r.answer, r.generation) for r in records_of(read_answers(log))]
    assert found == [
        ("4", "forget", "", "ash", "ash bay"),
        ("7", "forget", "", "ash", None),
        ("0", "retain", "Who?", "ash", "ash bay"),
    ]
    assert is_answers(log) and not is_answers(Path("DUET_EVAL.json.gz"))


def test_what_a_line_leaves_out_follows_from_its_place(tmp_path: Path) -> None:
    log = write(
        tmp_path / "a.jsonl", answer(split=None), answer(split="retain"), answer(split=None), answer(0, "holdout")
    )
    found = [(r.id, r.split) for r in records_of(read_answers(log))]
    assert found == [("0", "forget"), ("1", "forget"), ("0", "retain"), ("0", "holdout")], "both retain and holdout"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"generation": "x"}, r"a\.jsonl:2: no answer of a log"),
        (answer(1, split=""), r"a\.jsonl:2: no answer of a log"),
        (answer(1, generation=[1]), r"a\.jsonl:2: generation is no text"),
        (answer(0), r"a\.jsonl:2: is index 0 of 'forget' again"),
        ("{", r"a\.jsonl:2: not JSON"),
        ("3", r"a\.jsonl:2: is a int"),
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_answers(write(tmp_path / "a.jsonl", answer(0), line))


def test_a_log_without_answers_or_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no answers"):
        read_answers(write(tmp_path / "a.jsonl"))
    with pytest.raises(DataError, match="no such file"):
        read_answers(tmp_path / "b.jsonl")
