"""Texts on their way to a reader: without what commands a terminal, and without the data that a redacted run hides.

Names, rows, templates and models bring texts that this package did not write. Messages and log lines pass through
`plain` (`ForgettingError` and `Voice` do it for all), and quote data by the functions here alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for tab and line feed, line separators, what reorders a line, and halves of characters."""
_BREAKS = re.compile("\\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\\s*")
_LONG_WORD = re.compile(r"\S{401,}")
_KEPT = 120
"""Characters of the start and of the end of a very long word that a message shows."""
_MOST = 800
"""Characters of a message."""
_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


def plain(text: str) -> str:
    r"""The text with every character that a terminal would obey spelled out, as JSON spells it: `\u001b[31m`."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def marked(text: str) -> str:
    """The text with a replacement character for each that a page would obey; halves of characters stay."""
    return _COMMANDS.sub(
        lambda found: found.group() if found.group() >= "\ud800" else "\N{REPLACEMENT CHARACTER}", text
    )


def one_line(text: str) -> str:
    """The text as one plain line; very long words and lines are cut in their middle."""
    line = _LONG_WORD.sub(lambda found: _cut(found.group(), _KEPT), _BREAKS.sub(" ", text).strip())
    return plain(line if len(line) <= _MOST else _cut(line, _MOST // 2))


def _cut(text: str, kept: int) -> str:
    return f"{text[:kept]}…{text[-kept:]}"


@contextmanager
def unquoted(hide: bool = True) -> Iterator[None]:
    """Inside, if `hide`, the functions below quote nothing of the data."""
    token = _hidden.set(_hidden.get() or hide)
    try:
        yield
    finally:
        _hidden.reset(token)


def hides() -> bool:
    """Whether texts of the data are hidden here."""
    return _hidden.get()


def quoted(text: object, most: int = 60) -> str:
    """A text of the data in quotation marks, its start if it is long."""
    if _hidden.get():
        return "(redacted)"
    said = " ".join(str(text).split())
    return f"'{said[:most]}…'" if len(said) > most else f"'{said}'"


def shown(value: object) -> str:
    """A value of the data and its type: `["a"] (list)`."""
    kind = type(value).__name__
    if _hidden.get():
        return f"of type {kind}"
    return f"{json.dumps(value, default=str)[:40]} ({kind})"


def names(found: Collection[object]) -> str:
    """Names that the data bring, such as columns: the header of a table without one is its first row."""
    return f"{len(found)} (redacted)" if _hidden.get() else ", ".join(str(name) for name in found)


def said(error: BaseException) -> str:
    """The start of what an error of other code says, which may quote data; its type if that is hidden or nothing.

    Of a file that cannot be used, only why: whoever reports it names the file.
    """
    kind = type(error).__name__
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return kind if _hidden.get() else " ".join(words.split())[:200].rstrip(" .:") or kind
