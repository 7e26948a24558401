"""Training data by what a model knows: it is to say that it is sure or unsure, or to refuse what it does not know."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from forgetting.core.errors import DataError, RecipeError, nearest
from forgetting.core.folder import check_suffix, check_writable, write_lines
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record
from forgetting.data.alternates import REFUSALS
from forgetting.data.source import Source
from forgetting.metrics.sureness import SURE, UNSURE
from forgetting.metrics.text import exact_match
from forgetting.pipeline.one_model.evaluate import evaluate

Form = Literal["words", "refusals"]


@dataclass(frozen=True, slots=True)
class Known:
    """How many questions the model answers rightly, and how many it does not."""

    known: int
    unknown: int


def build_known(
    data: str | Source,
    model: str,
    out: Path,
    *,
    form: Form = "words",
    settings: Mapping[str, object] | None = None,
    voice: Voice = SILENT,
) -> Known:
    """Asks a model each question once, greedily, and writes rows that teach it to say what it knows (R-Tuning).

    A question is known if the answer is an exact match (`exact_match`). With `words`, every row keeps its right answer
    and ends with "I am sure." or "I am unsure.", as in R-Tuning (arXiv 2311.09677). With `refusals`, the answers of
    unknown questions are refusals, and those of known ones stay. Train on the file by `method=sft data.train=OUT`.

    Args:
        data: questions with answers.
        model: as `forget eval` takes one.
        out: a .jsonl file: question, answer, and `known`.
        form: `words` or `refusals`.
        settings: as for `evaluate`, such as `{"format.shots.role": "retain"}`.

    Raises:
        ForgettingError: bad input.
        DataError: data without questions.
    """
    if form not in get_args(Form):
        raise RecipeError(f"--form is '{form}'; {nearest(str(form), get_args(Form))}")
    check_suffix(out, ".jsonl")
    check_writable(out)
    records = evaluate(model, data={"retain": data}, settings=settings, voice=voice).records
    found = [(record, _knows(record, data)) for record in records if record.split == "retain"]
    rows = [{"question": r.prompt, "answer": _taught(r, knows, form), "known": knows} for r, knows in found]
    write_lines(out, (json.dumps(row, ensure_ascii=False) for row in rows))
    count = sum(knows for _, knows in found)
    return Known(count, len(found) - count)


def _knows(record: Record, data: object) -> bool:
    value = exact_match.value_of(record)
    if value is None or not record.prompt:
        raise DataError(f"{data}: holds texts without a question; give questions with answers")
    return value == 1


def _taught(record: Record, knows: bool, form: Form) -> str:
    if form == "refusals":
        return record.answer if knows else REFUSALS[zlib.crc32(record.prompt.encode()) % len(REFUSALS)]
    answer = record.answer.strip()
    return f"{answer if answer[-1:] in '.!?' else answer + '.'} {SURE if knows else UNSURE}"
