"""Finds where a forget set occurs in other data (`forget find`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from forgetting.core.errors import DataError, RunError
from forgetting.core.folder import written_file
from forgetting.core.progress import SILENT, Voice
from forgetting.data.examples import load_examples
from forgetting.data.files import read_rows
from forgetting.data.mentions import KINDS, Finder, Found
from forgetting.data.reading import Heard, Reading
from forgetting.data.row_words import row_body, row_counts, row_text
from forgetting.data.source import Source
from forgetting.forget_sets.files import source_of

SHOWN = 20
"""Findings that are shown; all of them go into the file."""
_STEP = 1_000


@dataclass
class Findings:
    """The findings: counts by source and kind, the examples that were found, and the first findings."""

    sources: tuple[str, ...]
    rows: Counter[str]
    """Rows searched, by source."""
    hits: Counter[tuple[str, str]]
    """Findings, by source and kind."""
    rows_hit: Counter[str]
    """Rows with at least one finding, by source."""
    examples: int
    found: set[str]
    """Ids of the forget examples that were found."""
    without_mentions: int
    first: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """As one document."""
        by_source = [
            {"source": s, "rows": self.rows[s], "rows_hit": self.rows_hit[s], **{k: self.hits[s, k] for k in KINDS}}
            for s in self.sources
        ]
        return {
            "forget": self.examples,
            "forget_found": len(self.found),
            "forget_without_mentions": self.without_mentions,
            "sources": by_source,
            "first": self.first,
        }


def find(
    forget: str | Source, data: Sequence[str | Source], *, out: Path | None = None, voice: Voice = SILENT
) -> Findings:
    """Searches data for copies, near duplicates, passages and mentions of a forget set (`forgetting.data.mentions`).

    The data are read twice, row by row, and never held: first for how rare the forget set's words are there.

    Args:
        forget: the forget set: a file, a folder, a hub dataset.
        data: what is searched, likewise; rows need not be examples.
        out: the file of findings, one a line (.jsonl); it is whole or absent.

    Raises:
        ForgettingError: bad input, or a file that cannot be written.
    """
    own, searched = source_of(forget), [source_of(place) for place in data]
    if not searched:
        raise DataError("nothing to search is given; name at least one file or folder")
    if out is not None and (out.suffix != ".jsonl" or out.resolve() in _files([own, *searched])):
        raise RunError(f"{out}: name another file, ending in .jsonl, to write to")
    heard = Heard(voice.say)
    examples = load_examples(own, heard)
    vocabulary = Finder(examples).vocabulary
    counts = row_counts((row_text(row) for _, _, row in _rows(searched, "counting words", voice, heard)), vocabulary)
    finder = Finder(examples, counts)
    names = tuple(dict.fromkeys(map(str, searched)))
    result = Findings(names, Counter(), Counter(), Counter(), len(examples), set(), finder.without_mentions, [])
    with _writing(out) as file:
        for source, where, row in _rows(searched, "searching", voice):
            result.rows[source] += 1
            found = finder.find(row_text(row), row_body(row))
            result.rows_hit[source] += bool(found)
            for one in found:
                result.hits[source, one.kind] += 1
                result.found.add(one.example.id)
                line = _line(source, where, one)
                if len(result.first) < SHOWN:
                    result.first.append(line)
                if file is not None:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    if out is not None:
        heard.write_beside(out)
    return result


def _files(sources: Sequence[Source]) -> list[Path]:
    return [Path(s.path).resolve() for s in sources if s.path]


def _rows(
    sources: Sequence[Source], what: str, voice: Voice, heard: Heard | None = None
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """(source, place, row) of all sources; `heard` takes what is left out."""
    done = 0
    for source in sources:
        if source.is_array:
            raise DataError(f"{source}: token ids have no words; search the texts that they were made of")
        empty = True
        reading = Reading()
        for where, row in read_rows(source, reading):
            empty = False
            yield str(source), where, row
            done += 1
            if done % _STEP == 0:
                voice.progress(done, done, f"{what}: {where}")
        if empty:
            raise DataError(f"{source}: holds no rows; leave it out")
        if heard is not None:
            heard.take(source, reading)


def _line(source: str, where: str, one: Found) -> dict[str, Any]:
    row = where.removeprefix(source).strip(":[], ")
    return {
        "source": source,
        "where": where,
        "row": row,
        "kind": one.kind,
        "text": one.text,
        "score": round(one.score, 4),
        "forget": one.example.id,
        "forget_where": one.example.where,
    }


@contextmanager
def _writing(out: Path | None) -> Iterator[TextIO | None]:
    """A file that takes its place only when the block ends well."""
    if out is None:
        yield None
        return
    with written_file(out) as partial, partial.open("w", encoding="utf-8") as file:
        yield file
