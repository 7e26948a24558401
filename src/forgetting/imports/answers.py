"""Logs of answers, one a line: split, index, right answer, what was written, and what the program scored.

A line is an object with `ground_truth` and `generation`, and as far as they are known `split` (else `forget`), `index`
(else its place in the split), `input` and columns of scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgetting.core.errors import DataError
from forgetting.core.record import Record
from forgetting.data.files import read_rows
from forgetting.data.source import Source
from forgetting.imports.open_unlearning import RETAIN_OF, answer_record

Answers = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By split and index, the line."""


def is_answers(path: Path) -> bool:
    """Whether a file holds one object a line, by its name."""
    return path.name.endswith((".jsonl", ".jsonl.gz"))


def read_answers(path: Path) -> Answers:
    """The lines of a log by split, which is named as the log names it, and index.

    Raises:
        DataError: the file is missing, a line is no answer, or two have one split and index.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for where, row in read_rows(Source(path=str(path))):
        split = row.get("split", "forget")
        if not isinstance(split, str) or not split or not isinstance(row.get("ground_truth"), str):
            raise DataError(f"{where}: no answer of a log; give lines with ground_truth, generation, split and index")
        if not isinstance(row.get("generation"), str | None):
            raise DataError(f"{where}: generation is no text; write what the model answered, or null")
        members = found.setdefault(split, {})
        index = str(row.get("index", len(members)))
        if index in members:
            raise DataError(f"{where}: is index {index} of '{split}' again; give each answer its own")
        members[index] = row
    if not found:
        raise DataError(f"{path}: holds no answers; give at least one line")
    return found


def records_of(answers: Answers) -> list[Record]:
    """The records of a log of answers; a record's id is its index, and `holdout` is the retain set, as in DUET."""
    return [
        answer_record(index, split_of(split, answers), row)
        for split, rows in answers.items()
        for index, row in rows.items()
    ]


def split_of(name: str, answers: Answers) -> str:
    """How a split of the log is called here."""
    ours = RETAIN_OF.get(name, name)
    return name if ours in answers else ours
