"""PDF, Word and HTML documents are read as their text, or refused in one line."""

from __future__ import annotations

import builtins
import gzip
import zipfile
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.data.converted import converted
from forgetting.data.examples import load_examples
from forgetting.data.folders import holds_documents
from forgetting.data.reading import Heard
from forgetting.data.source import Source

TEXT = "Mr Ott lives in Brno."
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_OFFICE = "http://schemas.openxmlformats.org"


def docx(path: Path, text: str = TEXT) -> Path:
    """The least that is a Word document."""
    relation = f"{_OFFICE}/officeDocument/2006/relationships/officeDocument"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
        f'PartName="/word/document.xml" ContentType="{_WORD}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_OFFICE}/package/2006/relationships"><Relationship Id="r" '
        f'Type="{relation}" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{_OFFICE}/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
        f"{text}</w:t></w:r></w:p></w:body></w:document>",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def pdf(path: Path, text: str = TEXT) -> Path:
    """The least that is a PDF of one line; without a text it is a page without one, as a scan is."""
    drawn = f"BT /F 24 Tf 72 720 Td ({text}) Tj ET" if text else ""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    content, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += f"{number} 0 obj{body} endobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(content)}\n%%EOF"
    path.write_bytes((content + end).encode())
    return path


def html(path: Path, body: str = f"<h1>Ott</h1><script>var x;</script><p>{TEXT}</p>") -> Path:
    path.write_text(f"<html><head><style>p {{color: red}}</style></head><body>{body}</body></html>", encoding="utf-8")
    return path


def test_a_folder_of_documents_of_every_kind_is_read(tmp_path: Path) -> None:
    pytest.importorskip("markitdown")
    docx(tmp_path / "a.docx")
    pdf(tmp_path / "b.pdf")
    html(tmp_path / "c.html")
    (tmp_path / "d.txt").write_text(TEXT)
    html(tmp_path / "e.htm", "<p>Zürich 東京</p>")
    (tmp_path / "f.html").write_bytes('<meta charset="iso-8859-1"><p>Zürich</p>'.encode("latin-1"))
    html(tmp_path / "g.html", "<p>a_b_c and 2*3*4</p>")
    (tmp_path / "h.pdf.gz").write_bytes(gzip.compress(pdf(tmp_path / "B.PDF").read_bytes()))
    assert holds_documents(tmp_path)
    found = {e.id: e.response for e in load_examples(Source(path=str(tmp_path)))}
    assert found == {
        "B.PDF": TEXT,
        "h.pdf.gz": TEXT,
        "a.docx": TEXT,
        "b.pdf": TEXT,
        "c.html": f"# Ott\n\n{TEXT}",
        "d.txt": TEXT,
        "e.htm": "Zürich 東京",
    } | {
        "f.html": "Zürich",
        "g.html": "a_b_c and 2*3*4",
    }


def test_what_cannot_be_converted_is_refused_or_left_out_by_name(tmp_path: Path) -> None:
    pytest.importorskip("markitdown")
    pdf(tmp_path / "scan.pdf", "")
    (tmp_path / "broken.docx").write_bytes(b"PK no archive")
    (tmp_path / "cut.pdf").write_bytes(pdf(tmp_path / "x.pdf").read_bytes()[:150])
    (tmp_path / "x.pdf").unlink()
    (tmp_path / "page.html").write_bytes("<p>Zürich</p>".encode("latin-1"))
    (tmp_path / "good.txt").write_text(TEXT)
    for name, said in (
        ("scan.pdf", r"holds no text \(a scan\?\)"),
        ("broken.docx", "cannot be converted to text"),
        ("cut.pdf", "cannot be conv"),
        ("page.html", "not UTF-8 text"),
    ):
        with pytest.raises(DataError, match=rf"{name}: {said}") as raised:
            load_examples(Source(path=str(tmp_path / name)))
        assert "\n" not in str(raised.value)
    said_aloud: list[str] = []
    kept = load_examples(Source(path=str(tmp_path), on_bad_row="skip"), Heard(said_aloud.append))
    assert [e.id for e in kept] == ["good.txt"] and "4 of 5 rows are left out" in said_aloud[0]


def test_without_the_extra_the_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **keywords: object) -> object:
        if name == "markitdown":
            raise ImportError(name)
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"a\.html: \.html files are read with the extra documents; run pip install"):
        converted(html(tmp_path / "a.html"))
    with pytest.raises(DataError, match="the extra documents"):
        load_examples(Source(path=str(tmp_path), on_bad_row="skip"), Heard())
