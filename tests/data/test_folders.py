"""A folder is its documents, or one set of data; anything else is one line that names the file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.data.examples import load_examples
from forgetting.data.folders import holds_documents
from forgetting.data.reading import Heard
from forgetting.data.source import Source


def put(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    file.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return file


def test_every_document_below_a_folder_is_an_example_named_by_its_path(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "\ufeffTwo.\r\nLines.\n")
    put(tmp_path, "a/z.md", "# One\n")
    put(tmp_path, "a/c.txt.gz", "Packed.")
    put(tmp_path, ".git/x.txt", "not a document")
    found = load_examples(Source(path=str(tmp_path)))
    assert [(e.id, e.group, e.response) for e in found] == [
        ("a/c.txt.gz", "a/c.txt.gz", "Packed."),
        ("a/z.md", "a/z.md", "# One"),
        ("b.txt", "b.txt", "Two.\nLines."),
    ]
    assert all(e.is_document and e.where.startswith(str(tmp_path)) for e in found)
    assert holds_documents(tmp_path)


def test_one_document_is_a_source_too(tmp_path: Path) -> None:
    (found,) = load_examples(Source(path=str(put(tmp_path, "a.txt", "Text."))))
    assert (found.id, found.response) == ("a.txt", "Text.")


def test_the_same_text_twice_is_two_documents(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "Same.")
    put(tmp_path, "b.txt", "Same.")
    assert [e.id for e in load_examples(Source(path=str(tmp_path)))] == ["a.txt", "b.txt"]


@pytest.mark.parametrize("endings", [(".jsonl", ".jsonl.gz"), (".jsonl", ".jsonl")])
def test_shards_are_one_source_in_the_order_of_their_names(tmp_path: Path, endings: tuple[str, str]) -> None:
    for number, ending in enumerate(endings):
        rows = [{"question": f"q{number}{i}", "answer": "a"} for i in range(2)]
        put(tmp_path, f"data/part-{number}{ending}", "".join(json.dumps(r) + "\n" for r in rows))
    put(tmp_path, "README.md", "# The card of this dataset")
    found = load_examples(Source(path=str(tmp_path)))
    assert [e.prompt for e in found] == ["q00", "q01", "q10", "q11"]
    assert found[2].where == f"{tmp_path}/data/part-1{endings[1]}:1" and not holds_documents(tmp_path)


def test_parquet_shards_are_one_source(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number in (1, 0):
        pq.write_table(pa.table({"text": [f"t{number}"]}), tmp_path / f"{number}.parquet")
    assert [e.response for e in load_examples(Source(path=str(tmp_path)))] == ["t0", "t1"]


def test_a_limit_counts_documents(tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path, f"{name}.txt", name)
    assert [e.id for e in load_examples(Source(path=str(tmp_path), limit=2))] == ["a.txt", "b.txt"]


BAD: dict[str, tuple[dict[str, str | bytes], str]] = {
    "nothing": ({}, "holds no files; put documents or data into it"),
    "hidden files alone": ({".a.txt": "x"}, r"holds no files \(1 hidden file was left out\)"),
    "another encoding": ({"a.txt": "ok", "b.txt": "caf\xe9!".encode("latin-1")}, r"b\.txt: not UTF-8 text \(byte 3\)"),
    "utf-16 cut off": ({"a.txt": "text".encode("utf-16")[:-1]}, r"a\.txt: begins as UTF-16 and goes on otherwise"),
    "cut inside a character": ({"a.txt": "caf\xe9".encode()[:-1]}, r"a\.txt: not UTF-8 text \(byte 3\)"),
    "a zero byte": ({"a.txt": b"ab\0c"}, r"a\.txt: holds a zero byte \(byte 2\)"),
    "empty documents alone": ({"a.txt": "", "b.md": " \n"}, r"holds no files \(2 empty files were left out\); put"),
    "documents and data": ({"a.txt": "x", "b.jsonl": "{}"}, r"holds \.jsonl and documents \(b\.jsonl, a\.txt\)"),
    "data of two kinds": ({"a.csv": "x", "b.jsonl": "{}"}, r"holds \.csv and \.jsonl \(a\.csv, b\.jsonl\)"),
    "a kind that is not read": ({"a.txt": "x", "b.xls": "?"}, r"b\.xls: a folder of documents holds \.txt, \.md,"),
    "a broken archive": ({"a.txt": "x"}, ""),
    "a bad row in a shard": ({"a.jsonl": '{"text": "x"}\n', "b.jsonl": "\n{"}, r"b\.jsonl:2: not JSON"),
    "ids that stand in two shards": (
        {f"{n}.jsonl": json.dumps({"id": 7, "text": n}) for n in "ab"},
        "the id '7' is that of 2 rows",
    ),
}


@pytest.mark.parametrize("case", [name for name in BAD if BAD[name][1]])
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, case: str) -> None:
    files, said = BAD[case]
    for name, content in files.items():
        put(tmp_path, name, content)
    with pytest.raises(DataError, match=said) as raised:
        load_examples(Source(path=str(tmp_path)))
    assert "\n" not in str(raised.value)


def test_a_document_in_a_broken_archive_is_one_line(tmp_path: Path) -> None:
    whole = gzip.compress(b"some text" * 50)
    (tmp_path / "a.txt.gz").write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"a\.txt\.gz: cannot be read"):
        load_examples(Source(path=str(tmp_path)))


def test_the_byte_that_is_no_text_is_counted_through_the_whole_file(tmp_path: Path) -> None:
    good = '{"text": "é"}\n'.encode() * 200_000
    (tmp_path / "a.jsonl").write_bytes(good + b'{"text": "\xff"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:200001: not UTF-8 text \(byte 10 of the line\)"):
        load_examples(Source(path=str(tmp_path / "a.jsonl")))
    (tmp_path / "a.txt").write_bytes(good + b"\xff")
    with pytest.raises(DataError, match=rf"a\.txt: not UTF-8 text \(byte {len(good)}\)"):
        load_examples(Source(path=str(tmp_path / "a.txt")))


def test_a_name_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    (tmp_path / b"caf\xe9.txt".decode("utf-8", "surrogateescape")).write_text("x")
    with pytest.raises(DataError, match=r"the name of this file is not UTF-8; rename it") as raised:
        load_examples(Source(path=str(tmp_path)))
    str(raised.value).encode()


def test_what_is_left_out_of_a_folder_is_counted(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside/secret.txt", "Not of this folder.")
    folder = tmp_path / "docs"
    for name, content in (("a.txt", "One."), ("sub/b.md", "Two."), (".x", "?"), (".git/config", "?"), ("c.txt", " \n")):
        put(folder, name, content)
    (folder / "d.txt").symlink_to(outside)
    (folder / "more").symlink_to(outside.parent, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "e.txt").symlink_to(folder / "a.txt")
    said: list[str] = []
    found = load_examples(Source(path=str(folder)), Heard(said.append))
    assert [e.id for e in found] == ["a.txt", "e.txt", "sub/b.md"]
    assert said == [f"{folder}: 2 hidden, 1 empty and 3 linked files were left out"]


def test_a_document_in_utf_16_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "Zürich\r\n東京".encode("utf-16"))
    put(tmp_path, "b.txt.gz", "Grün".encode("utf-16"))
    put(tmp_path, "c.txt", "Ok".encode("utf-32"))
    assert [e.response for e in load_examples(Source(path=str(tmp_path)))] == ["Zürich\n東京", "Grün", "Ok"]
