"""The items of a JSON list one by one, without the whole file in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TextIO

_CHUNK = 1 << 20


class NotAListError(Exception):
    """The file holds one value, `value`, that is no list."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


def json_items(
    file: TextIO, chunk: int = _CHUNK, *, made: Callable[[list[tuple[str, Any]]], Any] = dict
) -> Iterator[Any]:
    """The items of the list that a file holds.

    Args:
        chunk: how many characters are read at once, at least; more where an item is longer.
        made: what an object is made of its keys and values.

    Raises:
        json.JSONDecodeError: malformed; its `lineno` counts from the file's first line.
        NotAListError: another value.
        ValueError: what `made` refuses, or a number of too many digits.
        RecursionError: nested too deeply.
    """
    text = _Ahead(file, chunk, made)
    if text.next() != "[":
        value = text.value()
        text.end()
        raise NotAListError(value)
    text.skip()
    if text.next() == "]":
        text.skip()
        text.end()
        return
    while True:
        yield text.value()
        found = text.next()
        if found not in ("]", ","):
            raise text.error("Expecting ',' delimiter")
        text.skip()
        if found == "]":
            break
    text.end()


class _Ahead:
    """A part of a file, from the next character on."""

    def __init__(self, file: TextIO, chunk: int, made: Callable[[list[tuple[str, Any]]], Any]) -> None:
        self._file, self._chunk = file, chunk
        self._text, self._place, self._lines, self._ended = "", 0, 0, False
        self._decoder = json.JSONDecoder(object_pairs_hook=made)

    def next(self) -> str:
        """The next character that is no space; none at the end."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in " \t\n\r":
                self._place += 1
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Goes past one character."""
        self._place += 1

    def value(self) -> Any:
        """The next value. One that reaches the end of what is read may go on: more is read before it is believed."""
        self.next()
        while True:
            try:
                value, stop = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self.error(error.msg, error.pos) from error
                continue
            if stop < len(self._text) or not self._more():
                self._place = stop
                return value

    def end(self) -> None:
        """Nothing but spaces may follow."""
        if self.next():
            raise self.error("Extra data")

    def error(self, message: str, place: int | None = None) -> json.JSONDecodeError:
        """An error at a place, by default the next character, with the line of the whole file."""
        error = json.JSONDecodeError(message, self._text, self._place if place is None else place)
        error.lineno += self._lines
        return error

    def _more(self) -> bool:
        """Reads on, twice as far each time that one value needs more; False: there is no more."""
        read = "" if self._ended else self._file.read(max(self._chunk, len(self._text) - self._place))
        self._ended = not read
        if read:
            self._lines += self._text.count("\n", 0, self._place)
            self._text, self._place = self._text[self._place :] + read, 0
        return bool(read)
