"""Finds where a forget set occurs in other data (`forget find`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from forgetting.core.errors import DataError, RunError
from forgetting.core.folder import written_file
from forgetting.core.progress import SILENT, Voice
from forgetting.data.examples import load_examples
from forgetting.data.mentions import Finder, Found
from forgetting.data.reading import Heard, Reading
from forgetting.data.source import Source
from forgetting.data.stretches import FILE_NAME, Stretch, stretches
from forgetting.data.usage import Usage
from forgetting.forget_sets.files import source_of
from forgetting.forget_sets.findings import SHOWN, Findings, Searched

_STEP = 1_000
_LEAST_OVERLAP = 2_000
"""Characters: more than the 60 words that a mention may take."""
_MOST = 3


def find(
    forget: str | Source,
    data: Sequence[str | Source],
    *,
    names: Sequence[str] = (),
    out: Path | None = None,
    redact: bool = False,
    voice: Voice = SILENT,
) -> Findings:
    """Searches data for copies, near duplicates, passages, mentions and names of a forget set (`data.mentions`).

    Each source is read twice, row by row, and never held: first for how it uses the forget set's words. What is found
    in a source does not depend on what else is searched. A long row or document is searched in stretches of 20,000
    characters or more; of each stretch the first place of an example is told.

    Args:
        forget: the forget set: a file, a folder, a hub dataset.
        data: what is searched, likewise; rows need not be examples.
        names: names, addresses or numbers to look for besides.
        out: the file of findings, one a line (.jsonl); it is whole or absent.
        redact: findings hold places and kinds, but no texts or ids; an example is named by its number in the set.

    Raises:
        ForgettingError: bad input, or a file that cannot be written.
    """
    own, searched = source_of(forget), list({str(s): s for s in map(source_of, data)}.values())
    if not searched:
        raise DataError("nothing to search is given; name at least one file or folder")
    if out is not None and (out.suffix != ".jsonl" or out.resolve() in _files([own, *searched])):
        raise RunError(f"{out}: name another file, ending in .jsonl, to write to")
    blank = next((name for name in names if not any(c.isalnum() for c in name)), None)
    if blank is not None:
        raise DataError(f"the name {blank!r}: has no letter or digit to look for")
    heard = Heard(voice.say)
    examples = load_examples(own, heard)
    finder = Finder(examples, names)
    overlap = max(_LEAST_OVERLAP, *(len(e.prompt) + len(e.response) + 100 for e in examples))
    result = Findings(
        sources={},
        ids=frozenset(e.id for e in examples),
        looked_for=Counter(one.what for one in finder.identifiers),
        names=len(names),
        without_names=finder.without_names,
        without_mentions=finder.without_mentions,
        redacted=redact,
    )
    numbers = {e.id: number for number, e in enumerate(examples, 1)} if redact else None
    with _writing(out) as file:
        for source in searched:
            for line in _search(finder, source, overlap, result, numbers, heard, voice):
                if len(result.first) < SHOWN:
                    result.first.append(line)
                if file is not None:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    if out is not None:
        heard.write_beside(out)
    return result


def _search(
    finder: Finder,
    source: Source,
    overlap: int,
    result: Findings,
    numbers: dict[str, int] | None,
    heard: Heard,
    voice: Voice,
) -> Iterator[dict[str, Any]]:
    """Every finding in a source; what is counted goes into the result."""
    usage, reading = Usage(), Reading()
    for stretch in _stretches(source, overlap, "counting words", voice, Reading()):
        finder.count(stretch.text, usage)
    finder = finder.judging_by(usage)
    searched = result.sources[str(source)] = Searched(str(source), common=finder.common)
    searched.most = {finder.identifiers[n].said: rows for n, rows in usage.names.most_common(_MOST)}
    kinds, before, end = set[str](), set[tuple[str, str, int]](), 0
    for stretch in _stretches(source, overlap, "searching", voice, reading):
        if stretch.begins:
            searched.end_row(kinds)
            kinds, before, end = set(), set(), 0
            searched.rows += 1
        if stretch.columns != FILE_NAME:
            searched.characters += stretch.skipped + len(stretch.text) - end
            end = stretch.skipped + len(stretch.text)
        here = set[tuple[str, str, int]]()
        for one in finder.find(stretch.text, stretch.body):
            place = (one.kind, one.example.id, stretch.skipped + one.start)
            here.add(place)
            if place in before:
                continue
            kinds.add(one.kind)
            searched.hits[one.kind] += 1
            if one.kind != "beside":
                result.found |= result.ids.intersection(e.id for e in (one.example, *one.others))
            yield _line(searched.source, stretch, one, numbers)
        before = here
    searched.end_row(kinds)
    heard.take(source, reading)


def _stretches(source: Source, overlap: int, what: str, voice: Voice, reading: Reading) -> Iterator[Stretch]:
    if source.is_array:
        raise DataError(f"{source}: token ids have no words; search the texts that they were made of")
    done = 0
    for stretch in stretches(source, overlap, reading):
        yield stretch
        done += 1
        if done % _STEP == 0:
            voice.progress(done, done, f"{what}: {stretch.where}")
    if not done:
        raise DataError(f"{source}: holds no rows; leave it out")


def _files(sources: Sequence[Source]) -> list[Path]:
    return [Path(s.path).resolve() for s in sources if s.path]


def _line(source: str, stretch: Stretch, one: Found, numbers: dict[str, int] | None) -> dict[str, Any]:
    place = stretch.place(one.start)
    where = f"{stretch.where}:{place['line']}" if "line" in place else stretch.where
    line: dict[str, Any] = {"source": source, "where": where, "row": where.removeprefix(source).strip(":[], ")}
    line |= {**place, "kind": one.kind, "score": round(one.score, 4)}
    if numbers is not None:
        return line | {"forget": numbers.get(one.example.id)}
    return line | {"text": one.text, "forget": one.example.id, "forget_where": one.example.where}


@contextmanager
def _writing(out: Path | None) -> Iterator[TextIO | None]:
    """A file that takes its place only when the block ends well."""
    if out is None:
        yield None
        return
    with written_file(out) as partial, partial.open("w", encoding="utf-8") as file:
        yield file
