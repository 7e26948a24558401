"""Documents that are no text as they are (PDF, Word, HTML), as text: the extra `documents` (markitdown)."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

from forgetting.core.errors import DataError, RowError

CONVERTED = (".pdf", ".docx", ".html", ".htm")
"""Endings of files that are converted."""
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_DECLARED = 4096
"""Bytes in which a page has to declare its encoding."""
_AS_WRITTEN = {"escape_asterisks": False, "escape_underscores": False, "strict": True}


def converted(path: Path) -> str:
    """The text of a PDF, Word or HTML file as Markdown: headings, lists and tables as such, no pictures.

    A file is only taken for what its name says. Nothing is fetched, and no text is read off pictures.

    Raises:
        DataError: the extra `documents` is not installed.
        RowError: the file cannot be converted, or holds no text, as a scan does.
    """
    where, packed = str(path), path.suffix == ".gz"
    kind = (path.with_suffix("") if packed else path).suffix.lower()
    try:
        from markitdown import StreamInfo
        from markitdown.converters import DocxConverter, HtmlConverter, PdfConverter
    except ImportError as error:
        raise DataError(
            f"{path}: {kind} files are read with the extra documents; run pip install 'forgetting[documents]', "
            "or save it as text"
        ) from error
    converter = {".pdf": PdfConverter, ".docx": DocxConverter}.get(kind, HtmlConverter)()
    try:
        content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        if kind not in (".pdf", ".docx"):
            content = _page(content).encode()
        information = StreamInfo(extension=kind, charset="utf-8")
        text = str(converter.convert(io.BytesIO(content), information, **_AS_WRITTEN).markdown)
    except UnicodeDecodeError as error:
        raise RowError(where, f"not UTF-8 text (byte {error.start}) and declares no other; save it as UTF-8") from error
    except Exception as error:  # the errors of the converters share no base
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise RowError(where, f"cannot be converted to text ({said}); repair it, or save it as text") from error
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise RowError(where, "holds no text (a scan?); save its text as UTF-8, or remove it")
    return text


def _page(content: bytes) -> str:
    """A page in the encoding that its first bytes or its head declare, else in UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    declared = _CHARSET.search(content[:_DECLARED])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if declared is None:
            raise
        return content.decode(declared.group(1).decode("ascii"))
