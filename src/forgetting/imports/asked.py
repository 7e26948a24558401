"""The examples that a log's rows are of: questions, popularity and columns that the log itself does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.record import Record
from forgetting.core.text import quoted
from forgetting.data.examples import own_ids, read_examples
from forgetting.data.source import Source, given_source

Given = Mapping[str, Sequence[str | Source]]
"""By split, files or sources whose rows follow one another as in the log."""
Sets = Mapping[str, Mapping[str, Sequence[Example]]]
"""By split and by the name of the source, its examples."""


def read_asked(given: Given) -> dict[str, dict[str, list[Example]]]:
    """The examples of each split by source, in order; each has an id of its own.

    Raises:
        DataError: a file that cannot be read.
        RecipeError: a source that is none.
    """
    found: dict[str, dict[str, list[Example]]] = {}
    for split, places in given.items():
        sources = [given_source(place) for place in places]
        read = [list(read_examples(source).examples) for source in sources]
        ids = iter(own_ids([e for members in read for e in members]))
        named = zip(_names(sources), read, strict=True)
        found[split] = {name: [replace(e, id=next(ids)) for e in members] for name, members in named}
    return found


def with_examples(records: Sequence[Record], asked: Sets, where: str) -> list[Record]:
    """The records with the ids, questions, groups, kinds and popularity of the examples they are of.

    A record of a split that is not given stays as it is.

    Args:
        records: of a log, whose ids are indices.
        asked: the examples; index i of a split is the i-th of all of its sources.
        where: the log's name in messages.

    Raises:
        DataError: a split is none of the log's, an index is beyond the examples, or a right answer is another one.
    """
    there = {record.split for record in records}
    wrong = next((split for split in asked if split not in there), None)
    if wrong is not None:
        raise DataError(f"{where}: has no split '{wrong}'; its splits are {', '.join(sorted(there)) or 'none'}")
    every = {split: [e for members in sources.values() for e in members] for split, sources in asked.items()}
    return [_with(record, every[record.split], where) if record.split in every else record for record in records]


def _with(record: Record, examples: Sequence[Example], where: str) -> Record:
    place = int(record.id) if record.id.isdecimal() else len(examples)
    if place >= len(examples):
        raise DataError(
            f"{where}: index {record.id} of '{record.split}' is beyond its {len(examples)} examples; "
            "give all files of the split, in the log's order"
        )
    example = examples[place]
    if record.answer.strip() != example.response.strip():
        raise DataError(
            f"{where}: index {record.id} of '{record.split}' has the right answer {quoted(record.answer)}, and "
            f"{example.place} {quoted(example.response)}; give the files of the split in the log's order"
        )
    return replace(
        record,
        id=example.id,
        prompt=example.prompt,
        popularity=example.popularity,
        group=example.group,
        kind=example.kind,
    )


def _names(sources: Sequence[Source]) -> list[str]:
    """The file's name without its ending, or the hub's split; made different by a number where two are alike."""
    names: list[str] = []
    for source in sources:
        name = Path(source.path).name.split(".")[0] if source.path else str(source).rpartition("/")[2]
        names.append(name if name not in names else f"{name}~{len(names)}")
    return names
