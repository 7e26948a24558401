"""The examples of a log's rows: taken by place, and refused where they are others."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.core.record import Record
from forgetting.imports.asked import read_asked, with_examples
from tests.benchmarks.duet.making import plain, row, write


@pytest.fixture
def asked(tmp_path: Path):
    write(tmp_path, "rare", [row("A", "country", "B", pop_sum=3.0), plain("Where is C?", "D")])
    write(tmp_path, "popular", [plain("Where is E?", "F"), plain("Where is E?", "F")])
    return read_asked({"forget": [str(tmp_path / "rare.jsonl"), str(tmp_path / "popular.jsonl")]})


def record(id: str, answer: str, split: str = "forget") -> Record:
    return Record(id=id, split=split, prompt="", answer=answer, generation="x")


def test_the_rows_of_several_files_follow_one_another_copies_too(asked) -> None:
    assert {name: len(members) for name, members in asked["forget"].items()} == {"rare": 2, "popular": 2}
    answers = [("3", "F"), ("0", "B "), ("1", "D")]
    found = with_examples([*(record(*a) for a in answers), record("0", "Z", "retain")], asked, "log")
    assert [r.prompt for r in found] == ["Where is E?", "What is the country of A?", "Where is C?", ""]
    assert (found[1].popularity, found[1].kind, found[3].id) == (3.0, "country", "0")
    assert len({r.id for r in found}) == 4 and found[1].generation == "x"


@pytest.mark.parametrize(
    ("id", "answer", "message"),
    [
        ("4", "F", "log: index 4 of 'forget' is beyond its 4 examples"),
        ("x", "F", "log: index x of 'forget' is beyond"),
        ("1", "B", r"log: index 1 of 'forget' has the right answer 'B', and .*rare\.jsonl:2 'D'"),
    ],
)
def test_other_examples_are_refused(asked, id: str, answer: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        with_examples([record(id, answer)], asked, "log")


def test_a_split_that_the_log_has_not_is_refused(asked) -> None:
    with pytest.raises(DataError, match="log: has no split 'forget'; its splits are retain"):
        with_examples([record("0", "B", "retain")], asked, "log")
    with pytest.raises(DataError, match=r"its splits are none$"):
        with_examples([], asked, "log")


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder, "rare", [plain(f"Where is {folder}?", "F")])
    found = read_asked({"forget": [str(tmp_path / folder / "rare.jsonl") for folder in ("one", "two")]})
    assert list(found["forget"]) == ["rare", "rare~1"]
