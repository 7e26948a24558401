"""Rows come with the place they stood at; what cannot be read is named by file and line."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgetting.core.errors import DataError
from forgetting.data.files import JSON_TEXT, read_rows
from forgetting.data.source import Source

ROWS = [{"prompt": f"q{i}", "response": f"Łódź, {i}\n2nd"} for i in range(1, 21)]


def rows_of(path: Path) -> list[tuple[str, dict]]:
    return list(read_rows(Source(path=str(path))))


def as_csv() -> str:
    return "prompt,response\n" + "".join(f'{r["prompt"]},"{r["response"]}"\n' for r in ROWS)


CONTENT = {
    ".jsonl": "".join(json.dumps(r, ensure_ascii=False) + "\n\n" for r in ROWS),
    ".json": json.dumps(ROWS),
    ".csv": as_csv(),
}
PLACE = {
    ".jsonl": ":5",  # the third row, with empty lines between
    ".json": ", item 3",
    ".csv": ":7",  # where the third row ends: each has two lines
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("ending", list(CONTENT))
def test_every_format_gives_the_same_rows_and_their_places(
    tmp_path: Path, ending: str, mark: str, packed: bool
) -> None:
    content = (mark + CONTENT[ending]).encode()
    file = tmp_path / f"facts{ending}{'.gz' if packed else ''}"
    file.write_bytes(gzip.compress(content) if packed else content)
    found = rows_of(file)
    assert [row for _, row in found] == ROWS
    assert found[2][0] == f"{file}{PLACE[ending]}"


def test_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    file.write_bytes(b'{"a": 1}\r\n{"a": 2}\r\n')
    assert [(w.rsplit(":")[-1], r) for w, r in rows_of(file)] == [("1", {"a": 1}), ("2", {"a": 2})]


def seventeenth(line: str) -> str:
    lines = [json.dumps(r) for r in ROWS]
    lines[16] = line
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", seventeenth('{"prompt": "x",}'), r"a\.jsonl:17: not JSON \(.* at column \d+\); fix or remove"),
        ("a.jsonl", seventeenth("[1, 2]"), r"a\.jsonl:17: is a list, not an object"),
        ("a.jsonl", seventeenth('"text"'), r"a\.jsonl:17: is a str, not an object"),
        ("a.json", '[\n{"a": 1},\n{"a" 2}\n]', r"a\.json:3: not JSON .* goes into a \.jsonl file"),
        ("a.json", '{"a": 1}', r"a\.json: holds a dict, not a list"),
        ("a.json", "[{}, 3]", r"a\.json, item 2: is a int"),
        ("a.csv", "p,r\n1,2\n3\n", r"a\.csv:3: has not as many cells as the header"),
        ("a.csv", "p,r\n1,2\n3,4,5\n", r"a\.csv:3: has not as many cells as the header"),
        ("a.csv", 'p,r\n1,2\n3,"4" x\n', r"a\.csv:3: not CSV"),
        ("a.doc", "x", r"a\.doc: cannot read '\.doc' files; give one of \.jsonl, \.json, \.csv"),
        ("a.doc.gz", "x", r"cannot read '\.doc' files"),
        ("noending", "x", r"cannot read 'noending' files"),
        ("a.jsonl.gz", "not gzip", r"a\.jsonl\.gz: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as raised:
        rows_of(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(CONTENT[".jsonl"].encode())
    for name, content in (("cut", whole[:-20]), ("bent", whole[:30] + bytes(40) + whole[70:])):
        file = tmp_path / f"{name}.jsonl.gz"
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.jsonl\.gz: (cannot be read|not UTF-8)"):
            rows_of(file)


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.jsonl:1: not UTF-8 text \(byte 7 of the line\)"):
        rows_of(tmp_path / "a.jsonl")


def test_a_mistyped_path_is_answered_with_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "forget.jsonl").write_text("")
    with pytest.raises(DataError, match=r"no such file; did you mean 'forget\.jsonl'"):
        rows_of(tmp_path / "froget.jsonl")
    with pytest.raises(DataError, match="no such file; check the path"):
        rows_of(tmp_path / "nowhere" / "forget.jsonl")


def test_rows_before_a_malformed_one_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(seventeenth("{"))
    rows = read_rows(Source(path=str(tmp_path / "a.jsonl")))
    assert [next(rows)[1]["prompt"] for _ in range(16)] == [f"q{i}" for i in range(1, 17)]
    with pytest.raises(DataError, match=":17"):
        next(rows)


def test_a_hub_dataset_gives_rows_named_by_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple] = []

    def load(*arguments: object, **keywords: object) -> list[dict]:
        asked.append((*arguments, *keywords.items()))
        return [{"question": "q", "answer": "a"}]

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = Source(hub="org/set", name="forget10", revision="abc")
    assert list(read_rows(source)) == [("org/set/forget10/train[0]", {"question": "q", "answer": "a"})]
    assert asked == [("org/set", "forget10", ("split", "train"), ("revision", "abc"))]


def test_a_hub_dataset_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fails(*arguments: object, **keywords: object) -> None:
        raise ValueError("no such config\nmore lines")

    monkeypatch.setattr(datasets, "load_dataset", fails)
    with pytest.raises(
        DataError,
        match=r"org/set/train: cannot be loaded from the hub \(ValueError: no such config more lines\); check",
    ):
        list(read_rows(Source(hub="org/set")))


def parquet(path: Path, rows: list[dict], **keys: int) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **keys)
    return path


def test_parquet_gives_the_same_rows_counted_from_0(tmp_path: Path) -> None:
    file = parquet(tmp_path / "facts.parquet", ROWS, row_group_size=7)
    assert rows_of(file) == [(f"{file}, row {i}", row) for i, row in enumerate(ROWS)]


def test_lists_in_parquet_are_lists_whoever_wrote_them(tmp_path: Path) -> None:
    import datasets
    import pandas as pd

    rows = [{"text": "a", "token_weights": [0.5, -1.0], "target_ids": [1, 2]}, {"text": "b"}]
    whole = [{"text": "b", "token_weights": None, "target_ids": None} | row for row in rows]
    pd.DataFrame(whole).to_parquet(tmp_path / "pandas.parquet")
    datasets.Dataset.from_list(whole).to_parquet(str(tmp_path / "datasets.parquet"))
    for name in ("pandas.parquet", "datasets.parquet"):
        assert [row for _, row in rows_of(tmp_path / name)] == whole


def test_parquet_is_read_row_group_by_row_group(tmp_path: Path) -> None:
    file = parquet(tmp_path / "facts.parquet", ROWS, row_group_size=5)
    content = bytearray(file.read_bytes())
    start = pq.ParquetFile(file).metadata.row_group(2).column(0).data_page_offset
    content[start : start + 40] = bytes(40)
    file.write_bytes(bytes(content))
    rows = read_rows(Source(path=str(file)))
    assert [next(rows)[1] for _ in range(10)] == ROWS[:10]
    with pytest.raises(DataError, match=r"facts\.parquet: not a whole Parquet file \(.*write it again") as raised:
        next(rows)
    assert "\n" not in str(raised.value)


def test_a_broken_parquet_file_is_one_line(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "facts.parquet", ROWS).read_bytes()
    for name, content in (("cut", whole[:-20]), ("text", b"prompt,response"), ("empty", b"")):
        file = tmp_path / f"{name}.parquet"
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.parquet: not a whole Parquet file") as raised:
            rows_of(file)
        assert "\n" not in str(raised.value)
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(whole))
    with pytest.raises(DataError, match=r"a\.parquet\.gz: a Parquet file is packed in itself .*; unpack it"):
        rows_of(tmp_path / "a.parquet.gz")


def test_a_marked_column_of_texts_is_read_as_json(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("noise", pa.string(), metadata=JSON_TEXT), pa.field("said", pa.string())])
    table = pa.Table.from_pylist([{"noise": '[[0, 3, "x"]]', "said": "[1]"}, {"noise": None}], schema=schema)
    pq.write_table(table, tmp_path / "a.parquet")
    rows = [row for _, row in rows_of(tmp_path / "a.parquet")]
    assert rows == [{"noise": [[0, 3, "x"]], "said": "[1]"}, {"noise": None, "said": None}]


def test_a_cell_may_be_longer_than_csv_allows_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "long " * 40_000 + "\nshort\n")
    assert [len(str(row["text"])) for _, row in rows_of(tmp_path / "a.csv")] == [200_000, 5]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_a_csv_is_parted_by_what_parts_its_header(tmp_path: Path, delimiter: str) -> None:
    lines = ["question , answer", 'Where?,"Brno, Oak; 12|\t."', "What?,310"]
    content = [lines[0].replace(",", delimiter), lines[1].replace(",", delimiter, 1), lines[2].replace(",", delimiter)]
    (tmp_path / "a.csv").write_text("\n".join(content))
    rows = [{"question": "Where?", "answer": "Brno, Oak; 12|\t."}, {"question": "What?", "answer": "310"}]
    assert [row for _, row in rows_of(tmp_path / "a.csv")] == rows


def test_a_text_that_begins_with_a_space_and_a_quote_is_a_text(tmp_path: Path) -> None:
    rows = [{"p": ' "Hi", he said, "now". ', "r": 'a, ""'}, {"p": "x, ", "r": ' "y"'}]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["p", "r"])
        writer.writeheader()
        writer.writerows(rows)
    assert [row for _, row in rows_of(tmp_path / "a.csv")] == rows


def test_a_column_alone_is_parted_by_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nOne; two\n")
    assert [row for _, row in rows_of(tmp_path / "a.csv")] == [{"text": "One; two"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"answer,answer\n1,2\n", r"a\.csv:1: the column 'answer' stands twice"),
        ("a.csv", b'p,r\nx, "y"\n', r"a\.csv:2: a cell's quote stands behind a space"),
        ("a.csv", "p,r\nx,y\nx,é\n".encode("latin-1"), r"a\.csv:3: the column 'r' is not UTF-8 text"),
        ("a.jsonl", b'{"a": 1, "a": 2}', r"a\.jsonl:1: not JSON \(the key 'a' stands twice"),
        ("a.jsonl", b'{"b": {"a": 1, "a": 2}}', r"a\.jsonl:1: not JSON \(the key 'a' stands twice"),
        ("a.json", b'[{"a": 1, "a": 2}]', r"a\.json: not JSON \(the key 'a' stands twice"),
        ("a.jsonl", b'{"a": 1' + b"0" * 5000 + b"}", r"a\.jsonl:1: not JSON \(Exceeds the limit"),
        ("a.json", '[{"a": "é"}]'.encode("latin-1"), r"a\.json: not UTF-8 text \(byte 8\)"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        rows_of(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("ending", list(CONTENT))
def test_a_file_that_names_its_encoding_is_read_in_it(tmp_path: Path, ending: str, encoding: str) -> None:
    for packed in (False, True):
        content = CONTENT[ending].encode(encoding)
        file = tmp_path / f"a{ending}{'.gz' if packed else ''}"
        file.write_bytes(gzip.compress(content) if packed else content)
        assert [row for _, row in rows_of(file)] == ROWS


def test_line_ends_of_windows_within_a_cell_are_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'p,r\r\nq,"1st\r\n2nd"\r\n')
    assert [row for _, row in rows_of(tmp_path / "a.csv")] == [{"p": "q", "r": "1st\n2nd"}]


def test_a_column_that_stands_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    columns = [pa.array(["q"]), pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["question", "answer", "answer"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: the column 'answer' stands twice; remove one of them"):
        rows_of(tmp_path / "a.parquet")
