"""The small world as files: a model, an oracle and data as a user would have them, to try every command on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from forgetting.benchmarks.lab.examples import secret_examples
from forgetting.benchmarks.lab.focus import GENERAL, focus_variant
from forgetting.benchmarks.lab.suite import BASE, lab_suite
from forgetting.benchmarks.lab.world import Fact, World, build_world
from forgetting.core.errors import DataError
from forgetting.core.example import Example
from forgetting.core.folder import written_whole

NOTES = 12
"""How many of the passages that the model recites are to be forgotten: a small request, quickly carried out."""
MODELS = {"model": BASE, "general-model": GENERAL}


def write_lab_files(folder: Path) -> dict[str, int]:
    """Writes the small world's models and data to a new folder.

    Models: `model` knows everything below; `oracle` never saw what `forget.jsonl` holds; `general-model` has read
    general text alone. Questions: `forget.jsonl`, `retain.jsonl`, `holdout.jsonl` (about people whom no document
    mentions), `train.jsonl` (all facts). Documents: `notes.jsonl` (passages that the model recites), `unseen.jsonl`
    (passages that it never saw), `text.jsonl` (stories and sentences about neither). For Forget-to-Focus:
    `general.jsonl` (general text) and `domain.jsonl` (questions of a clinic). For `forget build facts`: `facts.jsonl`,
    every fact with the number of times that a document states it.

    Args:
        folder: where to write; it must not exist, or be empty.

    Returns:
        The number of rows of each data file.

    Raises:
        DataError: the folder holds files already, or is a file.
        RunError: the disk cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: is not an empty folder; name another, or remove it")
    world, suite, clinic = build_world(), lab_suite("rare"), focus_variant("", True)
    data = {name: [_question(e) for e in suite.data[name]] for name in ("forget", "retain", "holdout", "train")}
    data |= {
        "notes": _texts(secret_examples([n for n in world.notes if n.copies][:NOTES])),
        "unseen": _texts(secret_examples([n for n in world.notes if not n.copies])),
        "text": _plain_text(world, [fact.id for fact in world.forget_facts("rare")]),
        "general": _texts(clinic.data["forget"]),
        "domain": [_question(e) for e in clinic.data["train"]],
        "facts": [_fact(fact) for fact in world.facts],
    }
    assert suite.oracle is not None
    with written_whole(folder) as there:
        for name, model in {**MODELS, "oracle": suite.oracle}.items():
            shutil.copytree(model, there / name)
        for name, rows in data.items():
            lines = (json.dumps(row, ensure_ascii=False) for row in rows)
            (there / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return {f"{name}.jsonl": len(rows) for name, rows in data.items()}


def _question(example: Example) -> Mapping[str, object]:
    row = {
        "id": example.id,
        "question": example.prompt,
        "answer": example.response,
        "paraphrased_question": example.paraphrased_prompt,
        "perturbed_answers": list(example.perturbed),
        "popularity": example.popularity,
    }
    return {key: value for key, value in row.items() if value not in (None, [])}


def _fact(fact: Fact) -> Mapping[str, object]:
    return {
        "subject": fact.subject,
        "relation": fact.relation.replace("_", " "),
        "object": fact.answer,
        "mentions_subject": fact.mentions,
    }


def _texts(examples: Iterable[Example]) -> list[Mapping[str, object]]:
    return [{"id": e.id, "text": f"{e.prompt}{e.response}"} for e in examples]


def _plain_text(world: World, without: Iterable[str]) -> list[Mapping[str, object]]:
    """A third of the narrative and the stories, without what states a fact of `without`."""
    dropped = set(without)
    documents = [d for d in world.documents if d.kind in ("narrative", "story") and dropped.isdisjoint(d.facts)]
    return [{"id": d.id, "text": f"{d.prompt}{d.response}"} for d in documents[::3]]
