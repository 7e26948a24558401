"""One bad row costs no data set: the first ten are named, or they are left out, counted and written down."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from forgetting.core.errors import DataError, RowError
from forgetting.data.examples import load_examples, read_examples
from forgetting.data.files import read_rows
from forgetting.data.reading import Heard
from forgetting.data.source import Source

GOOD = '{"question": "q%d", "answer": "a"}'


def put(folder: Path, lines: list[str], name: str = "a.jsonl") -> str:
    file = folder / name
    file.write_text("".join(line + "\n" for line in lines))
    return str(file)


def mixed(folder: Path) -> str:
    bad = ['{"question": "secret", "answer": null}', "{malformed", "[1]", '{"question": "q", "answer": 3}']
    return put(folder, [GOOD % 1, *bad, GOOD % 2, '{"question": "q", "answer": null}', GOOD % 3])


def test_all_bad_rows_are_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_examples(Source(path=mixed(tmp_path)))
    said = str(raised.value)
    assert said.startswith(
        f"{tmp_path}/a.jsonl:2: the response is null (NoneType), not text (and so at 7); 3: not JSON"
    )
    assert "; 4: is a list, not an object with named fields; 5: the response is 3 (int), not text" in said
    assert "5 rows cannot be used: mend them, or leave them out with on_bad_row: skip" in said and "\n" not in said


def test_no_more_than_the_first_ten_are_named(tmp_path: Path) -> None:
    path = put(tmp_path, ['{"question": "q", "answer": 3}'] * 40 + ["{malformed"])
    with pytest.raises(DataError, match=r"a\.jsonl:1: .*and so at 2, 3, .*, 10\); these are the first 10 bad rows"):
        load_examples(Source(path=path))


def test_skipped_rows_are_counted_and_written_down_without_their_texts(tmp_path: Path) -> None:
    said: list[str] = []
    heard = Heard(said.append)
    source = Source(path=mixed(tmp_path), on_bad_row="skip")
    assert [e.prompt for e in load_examples(source, heard)] == ["q1", "q2", "q3"]
    assert said == [
        f"{source}: 5 of 8 rows are left out, since they cannot be used (the first: 2: the response is null, not text)"
    ]
    assert heard.write_beside(tmp_path / "out.jsonl") == tmp_path / "out.skipped.jsonl"
    rows = [json.loads(line) for line in (tmp_path / "out.skipped.jsonl").read_text().splitlines()]
    assert [row["where"] for row in rows] == [f"{source}:{n}" for n in (2, 3, 4, 5, 7)]
    assert rows[3]["reason"] == "the response is a number, not text"
    assert "secret" not in (tmp_path / "out.skipped.jsonl").read_text()
    assert Heard().write_beside(tmp_path / "out.jsonl") is None
    assert not (tmp_path / "out.skipped.jsonl").exists()


def test_no_row_is_left_out_where_nobody_hears_of_it(tmp_path: Path) -> None:
    source = Source(path=mixed(tmp_path), on_bad_row="skip")
    for read in (load_examples, read_examples, lambda s: list(read_rows(s))):
        with pytest.raises(DataError, match=r"bad rows|cannot be used"):
            read(source)


def test_a_set_of_bad_rows_alone_and_a_file_that_breaks_are_errors_still(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 2 rows can be used; .*a\.jsonl:1: not JSON"):
        load_examples(Source(path=put(tmp_path, ["{", "{"]), on_bad_row="skip"), Heard())
    path = put(tmp_path, ["question,answer", "q,", 'q,"a" x'], "a.csv")
    with pytest.raises(DataError, match=r"a\.csv:3: not CSV"):
        load_examples(Source(path=path, on_bad_row="skip"), Heard())
    with pytest.raises(DataError, match=r"a\.csv:2: the response is empty.*; and .*a\.csv:3: not CSV"):
        load_examples(Source(path=path))


def test_a_limit_counts_bad_rows_too(tmp_path: Path) -> None:
    source = Source(path=mixed(tmp_path), on_bad_row="skip", limit=3)
    assert [e.prompt for e in load_examples(source, Heard())] == ["q1"]
    assert len(load_examples(Source(path=mixed(tmp_path), limit=1))) == 1


def test_columns_that_nothing_reads_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    row = {"id": 1, "instruction": "Who?", "context": "Ann came.", "response": "Ann", "text": "all of it", "rank": None}
    load_examples(Source(path=put(tmp_path, [json.dumps(row)])), Heard(said.append))
    assert said == [f"{tmp_path}/a.jsonl: nothing reads the columns 'context', 'text'; if it matters, map it "
                    "(columns: {input: …})"]  # fmt: skip
    said.clear()
    load_examples(Source(path=f"{tmp_path}/a.jsonl", columns={"input": "context", "kind": "text"}), Heard(said.append))
    assert said == []


def test_copies_are_counted_and_copies_that_differ_in_anything_are_refused(tmp_path: Path) -> None:
    said: list[str] = []
    same = {"question": "q", "answer": "a", "url": "u1"}
    rows = [same, same | {"url": "u2"}, {"question": "p", "answer": "a"}]
    found = load_examples(Source(path=put(tmp_path, list(map(json.dumps, rows)))), Heard(said.append))
    assert [e.prompt for e in found] == ["q", "p"]
    assert said == [f"{tmp_path}/a.jsonl: 1 of 3 rows repeat an earlier one and are left out"]
    for extra in ({"weight": 2}, {"perturbed": ["x"]}, {"paraphrased": "y"}, {"group": "g"}, {"popularity": 3},
                  {"token_weights": [1, -1]}):  # fmt: skip
        path = put(tmp_path, list(map(json.dumps, [rows[2], same, same | extra])))
        with pytest.raises(DataError, match=rf"a\.jsonl:3: repeats .*a\.jsonl:2 with another {next(iter(extra))}"):
            load_examples(Source(path=path))
    rows = [{"id": i} | same | {"weight": i + 1} for i in range(2)]
    assert [e.weight for e in load_examples(Source(path=put(tmp_path, list(map(json.dumps, rows)))))] == [1.0, 2.0]


def test_the_error_of_a_row_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(RowError("x:1", "the answer is {}, not text", 3)))
    assert str(error) == "x:1: the answer is 3 (int), not text"
    assert error.without_text == "the answer is a number, not text"


def test_a_right_answer_among_the_wrong_ones_is_said(tmp_path: Path) -> None:
    heard = Heard()
    row = {"question": "q", "answer": "In Paris", "perturbed_answer": ["In Rome", "in  paris"]}
    [example] = load_examples(Source(path=put(tmp_path, [json.dumps(row)])), heard)
    assert example.perturbed == ("In Rome", "in  paris")
    assert heard.lines == [
        f"{tmp_path}/a.jsonl: the right answer is among the wrong ones of 1 row (the first: 1), so that their truth "
        "ratio says less; remove it there"
    ]
