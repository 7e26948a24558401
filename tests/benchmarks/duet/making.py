"""Invented rows with DUET's published columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def row(subject: str, relation: str, object_: str, question: str = "", **more: object) -> dict[str, object]:
    """A published row; `ids` and `popularity` follow from the labels unless they are given."""
    properties = {"country": "P17", "capital of": "P1376", "capital": "P36", "located in": "P131"}
    return {
        "question": question or f"What is the {relation} of {subject}?",
        "answer": object_,
        "source_csv": "places_city.csv",
        "subjectLabel": subject,
        "relation": relation,
        "objectLabel": object_,
        "subject_qid": f"Q-{subject}",
        "property_pid": properties.get(relation, "P0"),
        "object_qid": f"Q-{object_}",
        "pop_sum": 10.0,
        **more,
    }


def plain(question: str, answer: str) -> dict[str, object]:
    """A row as the retain sets have it."""
    return {"question": question, "answer": answer}


def write(folder: Path, split: str, rows: Sequence[dict[str, object]]) -> None:
    """One row a line, in the file of a split."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)
    (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
