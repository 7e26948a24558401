"""Tables of facts: columns, questions read as facts, ids, popularity, and rows that are none."""

import gzip
import json
from pathlib import Path

import pytest

from forgetting.core.errors import DataError
from forgetting.forget_sets.facts.fact import GEONAMES, WIKIDATA, Credit
from forgetting.forget_sets.facts.table import Table
from tests.conftest import write_rows
from tests.forget_sets.facts.worlds import BUILT_IN


def test_a_row_gives_ids_and_the_popularity_of_both_ends(tmp_path: Path) -> None:
    file = tmp_path / "f.tsv.gz"
    names = ["subject", "relation", "object", "population_subject", "population_object", "source_id"]
    cells = ["Assen", "country", "The Netherlands", "68836", "17231017", "geonames:2759633"]
    text = "\t".join(names) + "\n" + "\t".join(cells) + "\n"
    file.write_bytes(gzip.compress(text.encode()))
    table = Table(file, BUILT_IN)
    (one,) = table.facts()
    assert (one.subject.id, one.subject.label, one.object.label) == ("geonames:2759633", "Assen", "The Netherlands")
    assert one.subject.popularity["population"] == 68836
    assert one.object.popularity == {"population": 17231017}
    assert (one.where, table.credit) == ("f.tsv.gz:2", GEONAMES)


def test_quotation_marks_in_a_tsv_are_part_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "f.tsv"
    file.write_text('subject\trelation\tobject\nThe Saga\tperformer\t"Weird Al" Yankovic\n')
    assert [one.object.label for one in Table(file, BUILT_IN).facts()] == ['"Weird Al" Yankovic']


def test_published_columns_of_duet_are_known(tmp_path: Path) -> None:
    row: dict[str, object] = {
        "question": "…",
        "answer": "India",
        "subjectLabel": "Pune",
        "relation": "country",
        "objectLabel": "India",
    }
    row |= {
        "subject_qid": "Q1538",
        "property_pid": "P17",
        "object_qid": "Q668",
        "pop_subject": 90.0,
        "pop_object": 2305.0,
    }
    table = Table(write_rows(tmp_path / "d.jsonl", [row]), BUILT_IN)
    (one,) = table.facts()
    assert (one.subject.id, one.object.id, one.relation, one.question) == ("Q1538", "Q668", "country", "")
    assert (one.subject.popularity["pop"], one.object.popularity["pop"]) == (90, 2305)
    assert table.credit == WIKIDATA


def test_a_question_is_read_as_a_fact_and_its_answers_are_kept(tmp_path: Path) -> None:
    rows = [
        {"question": "What genre is Wolf?", "answers": ["heavy metal", "metal"], "s_pop": 873},
        {"question": "Say something.", "answers": ["no"], "s_pop": 1},
        {"question": "What genre is Void?", "answers": [], "s_pop": 1},
    ]
    table = Table(write_rows(tmp_path / "q.jsonl", rows), BUILT_IN)
    (one,) = table.facts()
    assert (one.relation, one.subject.label, one.question) == ("genre", "Wolf", "What genre is Wolf?")
    assert (one.object.label, one.object.aliases) == ("heavy metal", ("metal",))
    assert one.subject.popularity == {"s_pop": 873}
    assert table.left_out == {"questions of no form that the relations know": 1, "rows without an answer": 1}
    assert table.credit == Credit("q.jsonl")


def test_other_columns_are_named_by_the_user(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "c.jsonl", [{"city": "Assen", "relation": "country", "land": "The Netherlands"}])
    with pytest.raises(DataError, match=r"no columns subject, relation and object.*city, relation, land.*--column"):
        list(Table(file, BUILT_IN).facts())
    (one,) = Table(file, BUILT_IN, {"subject": "city", "object": "land"}).facts()
    assert one.subject.label == "Assen"
    with pytest.raises(DataError, match="no column 'town'; it has city, relation, land"):
        list(Table(file, BUILT_IN, {"subject": "town"}).facts())


def test_rows_that_cannot_be_read_are_counted_and_a_file_without_facts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.jsonl"
    good = '{"subject": "Assen", "relation": "country", "object": "The Netherlands"}\n'
    file.write_text(good + '{"subject": "Cut')
    table = Table(file, BUILT_IN)
    assert len(list(table.facts())) == 1
    assert table.left_out == {"rows that cannot be read": 1}
    file.write_text('{"subject": "Cut')
    with pytest.raises(DataError, match=r"none of its 1 rows is a fact; .*f.jsonl:1: not JSON"):
        list(Table(file, BUILT_IN).facts())


@pytest.mark.parametrize("field", ["subject", "subject_id", "relation", "object", "answers"])
def test_half_a_character_is_a_row_that_cannot_be_read(tmp_path: Path, field: str) -> None:
    good = {"subject": "Assen", "subject_id": "Q1", "relation": "country", "object": "France", "answers": ["France"]}
    bad = {**good, field: ["\ud800"] if field == "answers" else "\ud800"}
    file = tmp_path / "f.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (good, bad)))
    table = Table(file, BUILT_IN)
    assert len(list(table.facts())) == 1
    assert table.left_out == {"rows that cannot be read": 1}


def test_half_a_character_in_the_name_of_a_column_too(tmp_path: Path) -> None:
    row = {"subject": "Assen", "relation": "country", "object": "France", "popu\ud800lation": 3}
    file = tmp_path / "f.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="the name of a column holds half of a character"):
        list(Table(file, BUILT_IN).facts())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1, None, "many", True, [5]])
def test_what_is_no_finite_number_from_0_on_is_no_popularity(tmp_path: Path, number: object) -> None:
    row = {"subject": "Oslo", "relation": "country", "object": "Norway", "views_subject": number}
    (one,) = Table(write_rows(tmp_path / "t.jsonl", [row]), BUILT_IN).facts()
    assert one.subject.popularity == {}


def test_an_empty_cell_is_no_name_however_it_was_written(tmp_path: Path) -> None:
    whole: dict[str, object] = {"subject": "Nan", "relation": "country", "object": "Thailand"}
    empty = [{**whole, end: nothing} for end in ("subject", "object") for nothing in (float("nan"), None, " ")]
    table = Table(write_rows(tmp_path / "t.jsonl", [whole, *empty]), BUILT_IN)
    assert [one.subject.label for one in table.facts()] == ["Nan"], "a province's name"
    assert table.left_out == {"rows without a subject or a relation": 3, "rows without an answer": 3}
