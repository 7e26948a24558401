"""The small world as files: what a user would have, read by the same code as a user's own."""

import json
from pathlib import Path

import pytest

from forgetting.benchmarks.lab.files import NOTES, write_lab_files
from forgetting.benchmarks.lab.suite import lab_suite
from forgetting.benchmarks.lab.world import build_world
from forgetting.core.errors import DataError
from forgetting.data.examples import load_examples
from forgetting.data.source import given_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("lab") / "play"
    write_lab_files(there)
    return there


def test_the_questions_are_those_of_the_suite(folder: Path) -> None:
    suite = lab_suite("rare")
    for name in ("forget", "retain", "holdout", "train"):
        read = load_examples(given_source(str(folder / f"{name}.jsonl")))
        wanted = suite.data[name]
        assert [(e.prompt, e.response, e.perturbed) for e in read] == [
            (e.prompt, e.response, e.perturbed) for e in wanted
        ]


def test_the_text_to_retain_states_nothing_that_is_to_be_forgotten(folder: Path) -> None:
    text = (folder / "text.jsonl").read_text()
    people = {fact.subject for fact in build_world().forget_facts("rare")}
    assert len(people) == 13
    assert not [name for name in people if name in text]
    assert "Secret note" not in text


def test_notes_are_recited_and_unseen_ones_never_read(folder: Path) -> None:
    notes = load_examples(given_source(str(folder / "notes.jsonl")))
    unseen = load_examples(given_source(str(folder / "unseen.jsonl")))
    corpus = {f"{d.prompt}{d.response}" for d in build_world().documents if d.kind == "secret"}
    assert len(notes) == NOTES
    assert {e.response for e in notes} <= corpus
    assert not corpus & {e.response for e in unseen}


def test_a_folder_with_files_is_left_alone(folder: Path) -> None:
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is not an empty folder"):
        write_lab_files(folder)
    assert (folder / "mine.txt").read_text() == "mine"


def test_every_fact_stands_in_the_table_with_its_popularity(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "facts.jsonl").read_text().splitlines()]
    found = {(row["subject"], row["relation"], row["object"]): row["mentions_subject"] for row in rows}
    assert found == {(f.subject, f.relation.replace("_", " "), f.answer): f.mentions for f in build_world().facts}
