"""Facts out of a table: .csv, .tsv, .jsonl, .json or .parquet, each row a fact or a question with its answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forgetting.core.digest import file_digest
from forgetting.core.errors import DataError, RowError
from forgetting.core.text import names
from forgetting.data.cells import string
from forgetting.data.files import Row, each_row
from forgetting.data.reading import Reading
from forgetting.data.source import Source
from forgetting.forget_sets.facts.fact import GEONAMES, WIKIDATA, Credit, Entity, Fact
from forgetting.forget_sets.facts.relations import Relations

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject", "subjectLabel", "subject_label"),
    "relation": ("relation", "prop"),
    "object": ("object", "objectLabel", "object_label", "answer"),
    "subject_id": ("subject_id", "subject_qid", "source_id"),
    "object_id": ("object_id", "object_qid"),
    "property": ("property", "property_pid"),
    "question": ("question",),
    "answers": ("answers", "possible_answers"),
}
"""What a row may say of a fact, and the columns in which it is looked for."""


@dataclass
class Table:
    """A file of facts.

    A row has a subject, a relation and an object, or a question in a form that the relations know and its answers.
    What else it may have: ids, and popularity of both ends (`population_subject`, `subject_population`, `population`).
    """

    path: Path
    relations: Relations
    columns: Mapping[str, str] = field(default_factory=dict)
    """The column of each field (`subject: city`) where it is not one of those that are tried."""
    stated: Credit | None = None
    left_out: Counter[str] = field(default_factory=Counter, init=False)
    _ids: set[str] = field(default_factory=set, init=False)
    _columns: dict[str, str] = field(default_factory=dict, init=False)

    def facts(self) -> Iterator[Fact]:
        """Every fact of the file; a row that is none is counted.

        Raises:
            DataError: no such file, an unknown ending, rows that cannot be read, or none that is a fact.
        """
        self.left_out.clear()
        reading, found = Reading(), 0
        source = Source(path=str(self.path), on_bad_row="skip")
        for fact in each_row(source, reading, self._fact):
            if isinstance(fact, str):
                self.left_out[fact] += 1
            else:
                found += 1
                yield fact
        self.left_out["rows that cannot be read"] += len(reading.bad)
        self.left_out = +self.left_out
        if not found:
            why = f"; {reading.bad[0]}" if reading.bad else ""
            raise DataError(f"{self.path}: none of its {reading.rows:,} rows is a fact{why}")

    @property
    def about(self) -> dict[str, object]:
        """Path, digest and columns."""
        return {"table": str(self.path), "sha256": file_digest(self.path), "columns": dict(self.columns)}

    @property
    def credit(self) -> Credit:
        """As it was stated; else what the ids tell, else the file without a licence."""
        known = {"geonames:": GEONAMES, "Q": WIKIDATA}
        found = [credit for prefix, credit in known.items() if self._ids == {prefix}]
        return self.stated or (found[0] if found else Credit(self.path.name))

    def _fact(self, row: Row, where: str) -> Fact | str:
        """The fact of a row, or why it is none though it can be read."""
        if not self._columns:
            self._columns = self._found(row, where)
        said = {what: _text(row.get(column), where, column) for what, column in self._columns.items()}
        many = self._columns.get("answers")
        answers = [] if many is None else _texts(row.get(many), where, many)
        subject, relation, question = said.get("subject", ""), said.get("relation", ""), said.get("question", "")
        if not (subject and relation):
            if not question:
                return "rows without a subject or a relation"
            read = self.relations.read(question)
            if read is None:
                return "questions of no form that the relations know"
            relation, subject = read
        else:
            question = ""  # the table states the fact; the question is ours
            relation = self.relations.name_of(relation, said.get("property", "")) or relation
        answer = said.get("object", "") or next(iter(answers), "")
        if not answer:
            return "rows without an answer"
        self._note(said.get("subject_id", ""))
        return Fact(
            Entity(subject, said.get("subject_id", ""), popularity=_popularity(row, "subject", where)),
            relation,
            Entity(
                answer,
                said.get("object_id", ""),
                tuple(a for a in answers if a != answer),
                _popularity(row, "object", where),
            ),
            where=f"{Path(where).name}",
            question=question,
        )

    def _note(self, id: str) -> None:
        self._ids.add("Q" if id[:1] == "Q" and id[1:].isdigit() else id.partition(":")[0] + ":" if ":" in id else "")

    def _found(self, row: Row, where: str) -> dict[str, str]:
        """The column of each field."""
        unknown = next((column for column in self.columns.values() if column not in row), None)
        if unknown is not None:
            raise DataError(f"{where}: no column '{unknown}'; it has {names(list(row))}")
        found = {what: next((c for c in tried if c in row), None) for what, tried in COLUMNS.items()}
        columns = {what: c for what, c in found.items() if c is not None} | dict(self.columns)
        answered = {"object", "answers"} & set(columns)
        if not answered or not ({"subject", "relation"} <= set(columns) or "question" in columns):
            raise DataError(
                f"{where}: no columns subject, relation and object, nor question and answers; it has "
                f"{names(list(row))}; say --column subject=NAME, and so on"
            )
        return columns


def _text(value: object, where: str, column: str) -> str:
    if value is None or isinstance(value, list) or value != value:  # a table's empty cell may be read as NaN
        return ""
    if not isinstance(value, str | int | float):
        raise RowError(where, f"the column '{column}' holds {{}}, not a text; fix or remove this row", value)
    return " ".join(string(str(value), f"column '{column}'", where).split())


def _texts(value: object, where: str, column: str) -> list[str]:
    values: Sequence[object] = value if isinstance(value, list) else [value]
    texts = (_text(v, where, column) for v in values if isinstance(v, str))
    return list(dict.fromkeys(text for text in texts if text))


def _popularity(row: Row, end: str, where: str) -> dict[str, float]:
    """What a row says of an end: `population_subject`, `subject_population`; of the subject any number, as `s_pop`."""
    found = {}
    for column, value in row.items():
        string(column, "name of a column", where)
        marks = (f"_{end}", f"{end}_")
        name = column.removesuffix(marks[0]) if column.endswith(marks[0]) else column.removeprefix(marks[1])
        own = name != column or end == "subject"
        number = number_in(value) if own and name not in ("id", "qid", "label") else None
        if number is not None:
            found[name] = number
    return found


def number_in(value: object) -> float | None:
    """A finite number of at least 0, written as one or as text; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
