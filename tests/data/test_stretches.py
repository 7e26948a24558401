"""Long texts in stretches: nothing is lost between them, and every place is right."""

import gzip
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.data.source import Source
from forgetting.data.stretches import STRETCH, stretches
from tests.conftest import write_rows


def test_stretches_of_a_document_overlap_and_cover_it_and_know_their_lines(tmp_path: Path) -> None:
    text = "".join(f"line {i} of many\r\n" for i in range(6_000))
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    name, *parts = stretches(Source(path=str(tmp_path / "a.txt")), 500)
    assert (name.text, name.place(0)) == ("a.txt", {"column": "file name", "offset": 0})
    assert len(parts) > 3 and all(text[p.skipped :].startswith(p.text) for p in parts)
    ends = [p.skipped + len(p.text) for p in parts]
    assert all(500 <= end - after.skipped < 1_600 for end, after in zip(ends, parts[1:], strict=False))
    assert ends[-1] == len(text) and all(len(p.text) <= STRETCH + 500 for p in parts)
    last = parts[-1].place(parts[-1].text.index("line 5999"))
    assert last == {"line": 6000, "offset": text.index("line 5999")}


def test_a_long_row_is_divided_and_its_columns_are_known(tmp_path: Path) -> None:
    row = {"title": "T", "text": "word " * 9_000 + "end"}
    parts = list(stretches(Source(path=str(write_rows(tmp_path / "a.jsonl", [row]))), 100))
    assert [p.begins for p in parts] == [True] + [False] * (len(parts) - 1) and len(parts) == 3
    assert parts[-1].place(parts[-1].text.index("end")) == {"column": "text", "offset": 45_000}
    assert parts[0].place(0) == {"column": "title", "offset": 0}


def test_a_short_row_is_whole_with_its_body(tmp_path: Path) -> None:
    (part,) = stretches(Source(path=str(write_rows(tmp_path / "a.jsonl", [{"id": 3, "text": "Hi"}]))), 100)
    assert (part.text, part.body, part.place(2)) == ("3\nHi", "Hi", {"column": "text", "offset": 0})


def test_documents_are_searched_packed_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"Hello"))
    (tmp_path / "b.md").write_text("")
    assert [p.text for p in stretches(Source(path=str(tmp_path)), 100)] == ["a.txt.gz", "Hello"]


@pytest.mark.parametrize(
    ("content", "said"), [(b"a\xff" * 3, r"a\.txt: not UTF-8 text \(byte 1\)"), (b"a\0b", "holds a zero byte")]
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        list(stretches(Source(path=str(tmp_path / "a.txt")), 100))
