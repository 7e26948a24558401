"""What is found while a source is read besides its rows: bad rows, files left out, columns that nothing reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forgetting.core.errors import DataError, RowError
from forgetting.core.folder import write_text

FIRST = 10
"""Bad rows that an error names."""
_PLACES = 5
"""Places that are named for one reason."""
_COLUMNS = 8
_BETWEEN = ":[], /"


@dataclass
class Reading:
    """Filled by whoever reads a source; said by whoever asked for it."""

    rows: int = 0
    """Rows read, bad ones too."""
    bad: list[RowError] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)
    """Files of a folder that are left out, by why: `hidden`, `empty`, …"""
    unused: Counter[str] = field(default_factory=Counter)
    """Columns that hold something and that nothing reads, by the number of such rows."""
    taken: set[str] = field(default_factory=set)
    """What was read of rows, of all that a model may see: `prompt`, `history`, …"""
    passed: set[str] = field(default_factory=set)
    """What some row held of that and was not read."""
    lists: Counter[str] = field(default_factory=Counter)
    """Columns of texts whose value is a list as Python writes it, by the number of such rows."""
    right: list[str] = field(default_factory=list)
    """Rows whose wrong answers hold the right one, by where they stand."""

    def lines(self, source: object) -> list[str]:
        """What a user has to know of it, a line each."""
        said = []
        if self.files:
            said.append(f"{source}: {files_left_out(self.files)}")
        if self.bad:
            first = self.bad[0]
            said.append(
                f"{source}: {len(self.bad):,} of {self.rows:,} rows are left out, since they cannot be used "
                f"(the first: {place(first.where, source)}: {first.without_text})"
            )
        if self.unused:
            named = [f"'{name}'" for name, _ in self.unused.most_common(_COLUMNS)]
            more = len(self.unused) - len(named)
            names = ", ".join(named) + (f" and {more} more" if more else "")
            what = "column" if len(self.unused) == 1 else "columns"
            said.append(f"{source}: nothing reads the {what} {names}; if it matters, map it (columns: {{input: …}})")
        if self.right:
            rows = "1 row" if len(self.right) == 1 else f"{len(self.right):,} rows"
            said.append(
                f"{source}: the right answer is among the wrong ones of {rows} (the first: "
                f"{place(self.right[0], source)}), so that their truth ratio says less; remove it there"
            )
        return said

    def check_lists(self, source: object) -> None:
        """Refuses a column of texts all of which are lists as Python writes them.

        Raises:
            DataError: there is one; such a text would be learned with its brackets and quotes.
        """
        for name, count in self.lists.items():
            if count == self.rows - len(self.bad):
                raise DataError(
                    f"{source}: the column '{name}' holds a list in every row, as a table program writes it (['…']); "
                    "give one text a row, or the list as JSON if the text is meant"
                )


@dataclass
class Heard:
    """Takes what the readings of several sources found, and says it; without one no bad row is left out."""

    say: Callable[[str], None] = lambda line: None
    lines: list[str] = field(default_factory=list)
    """All that was said."""
    skipped: list[RowError] = field(default_factory=list)

    def tell(self, line: str) -> None:
        """Says a line, once."""
        if line not in self.lines:
            self.lines.append(line)
            self.say(line)

    def take(self, source: object, reading: Reading) -> None:
        """Says what a source's reading found, and keeps which rows were left out."""
        for line in reading.lines(source):
            self.tell(line)
        self.skipped += reading.bad

    def write_beside(self, out: Path) -> Path | None:
        """Writes which rows were left out beside an output: `a.jsonl` → `a.skipped.jsonl`; None: none was.

        Raises:
            RunError: it cannot be written.
        """
        file = out.with_name(f"{out.stem}.skipped.jsonl")
        if not self.skipped:
            file.unlink(missing_ok=True)  # of an earlier call
            return None
        write_text(file, skipped_rows(self.skipped))
        self.tell(f"written: {file} (the rows that were left out)")
        return file


def files_left_out(files: Counter[str]) -> str:
    """`3 hidden and 2 empty files were left out`."""
    *first, last = [f"{count:,} {why}" for why, count in files.items()]
    names = f"{', '.join(first)} and {last}" if first else last
    one = files.total() == 1
    return f"{names} {'file was' if one else 'files were'} left out"


def place(where: str, source: object) -> str:
    """Where in a source a row stands: `17` of `facts.jsonl:17`."""
    return where.removeprefix(str(source)).strip(_BETWEEN) or where


def bad_rows(bad: Sequence[RowError], source: object, *, whole: bool) -> DataError:
    """The error of a source's bad rows, in one line: the first row's own, and the others by what is wrong with them.

    Args:
        bad: in their order, one at least.
        source: which they are of.
        whole: whether the source was read to its end, so that these are all.
    """
    if len(bad) == 1 and whole:
        return bad[0]
    places: dict[str, list[str]] = {}
    for one in bad:
        places.setdefault(one.said, []).append(place(one.where, source))
    parts: list[str] = []
    for reason, those in places.items():
        begin = f"{bad[0].where}: {reason}" if not parts else f"{those[0]}: {reason}"
        parts.append(begin + (f" (and so at {_some(those[1:])})" if len(those) > 1 else ""))
    count = f"{len(bad)} rows cannot be used" if whole else f"these are the first {len(bad)} bad rows"
    return DataError(f"{'; '.join(parts)}; {count}: mend them, or leave them out with on_bad_row: skip")


def _some(places: Sequence[str]) -> str:
    more = len(places) - 2 * _PLACES
    return ", ".join(places[: 2 * _PLACES]) + (f" and {more} more" if more > 0 else "")


def skipped_rows(bad: Iterable[RowError]) -> str:
    """The rows that were left out as JSONL: where each stood, and why. Nothing of their texts: those may be secret."""
    rows = ({"where": one.where, "reason": one.without_text} for one in bad)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
