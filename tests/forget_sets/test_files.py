"""What builders read and write: sources, the set with its provenance, and reviews that are never written over."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.errors import DataError, ForgettingError, RecipeError, RunError
from forgetting.data.examples import said
from forgetting.data.reading import Heard
from forgetting.data.source import Source
from forgetting.forget_sets.builders.separation import Tally, separation
from forgetting.forget_sets.files import Account, Built, Sides, review_file, source_of, streamed, write_built
from tests.conftest import write_rows


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """A general corpus, whose first row is in the domain and whose second is measured; and one that repeats."""
    general = [{"text": f"The {word} of the town is old and quiet today."} for word in ("court", "mill", "inn", "inn")]
    general[0] = {"text": "The court heard the appeal of the two sides."}
    write_rows(tmp_path / "general.jsonl", general)
    write_rows(tmp_path / "law.jsonl", [general[0], {"text": "A judge wrote the opinion of the court."}])
    write_rows(tmp_path / "measured.jsonl", [{"text": "Nothing that is known."}, general[1]])
    return Sides(str(tmp_path / "general.jsonl"), [str(tmp_path / "law.jsonl")], [str(tmp_path / "measured.jsonl")])


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{suite: lab}", "builders read files and hub datasets; name one"),
        ("{path: a.jsonl, share: 0.5}", "share has no meaning for a builder; leave it out, limit reads"),
        ("{path: a.jsonl, count: 3}", "count has no meaning for a builder"),
        ("{path: a.jsonl, max_tokens: 3}", "max_tokens has no meaning for a builder"),
    ],
)
def test_a_source_that_a_builder_cannot_read_is_refused(place: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        source_of(place)


def test_a_source_is_a_path_a_hub_name_or_a_source_of_a_recipe() -> None:
    assert source_of("a.jsonl") == Source(path="a.jsonl")
    assert source_of("hub:org/name").hub == "org/name"
    assert source_of("{path: a.jsonl, limit: 3}").limit == 3


def test_rows_are_streamed_one_by_one_and_a_repeated_one_is_kept(sides: Sides) -> None:
    found = [said(example) for example in streamed(source_of(sides.general))]
    assert len(found) == 4 and found[2] == found[3]


def test_rows_that_are_left_out_are_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"text": "one"}, {"wrong": "two"}, {"text": "three"}])
    heard = Heard()
    source = source_of(f"{{path: {tmp_path / 'a.jsonl'}, on_bad_row: skip}}")
    assert len(list(streamed(source, heard))) == 2 and len(heard.skipped) == 1
    with pytest.raises(DataError, match=r"a\.jsonl:2"):
        list(streamed(source_of(str(tmp_path / "a.jsonl"))))


@pytest.mark.parametrize("out", ["set.json", "law.jsonl", "general.jsonl", "measured.jsonl", "kept.jsonl"])
def test_an_output_that_is_no_jsonl_or_an_input_is_refused(out: str, sides: Sides, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"name another file, ending in \.jsonl"):
        Built.begin("words", sides, tmp_path / out, [tmp_path / "kept.jsonl", None])


def test_no_domain_is_refused(sides: Sides, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no domain is given"):
        Built.begin("words", Sides(sides.general, []), tmp_path / "set.jsonl")


def test_what_is_written_is_read_back_with_its_digests_and_overlaps(sides: Sides, tmp_path: Path) -> None:
    out = tmp_path / "made" / "set.jsonl"
    built = Built.begin("words", sides, out)
    examples = list(streamed(built.general))[:3]
    account = Account(
        settings={"share": 0.5},
        counts={"chosen": 3},
        separations=[separation("cosine", {"chosen": Tally(np.array([0.1, 0.9])), "rest": Tally(np.array([0.2]))})],
        seed=4,
        characteristic=["court"],
        inputs={"review": tmp_path / "law.jsonl", "none": None},
    )
    chosen = [(example, {"rank": rank}) for rank, example in enumerate(examples)]
    found = write_built(built, chosen, account, {out.with_suffix(".review.csv"): "a\n"})

    rows = [json.loads(line) for line in out.read_text().splitlines()]
    again = list(streamed(source_of(str(out))))
    assert [(e.prompt, e.response) for e in again] == [(e.prompt, e.response) for e in examples]
    assert [row["rank"] for row in rows] == [0, 1, 2]
    there = json.loads(out.with_suffix(".provenance.json").read_text())
    assert there == json.loads(json.dumps({key: value for key, value in found.items() if key != "files"}))
    assert there["output"] == {
        "file": "set.jsonl",
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "examples": 3,
    }
    digests = {one["role"]: one["sha256"] for one in there["sources"]}
    for role, name in (("general", "general"), ("domain", "law"), ("evaluation", "measured"), ("review", "law")):
        assert digests[role] == hashlib.sha256((tmp_path / f"{name}.jsonl").read_bytes()).hexdigest()
    overlaps = {one["with"]: (one["examples"], one["exact"], one["ids"]) for one in there["overlaps"]}
    assert overlaps == {"domain": (2, 1, [examples[0].id]), "evaluation": (2, 1, [examples[1].id])}
    assert (there["seed"], there["settings"], there["characteristic_words"]) == (4, {"share": 0.5}, ["court"])
    assert sorted(found["files"]) == sorted(str(file) for file in out.parent.iterdir())
    assert "set.jsonl" in out.with_suffix(".html").read_text()


def test_nothing_is_written_where_the_measured_data_cannot_be_read(sides: Sides, tmp_path: Path) -> None:
    out = tmp_path / "made" / "set.jsonl"
    built = Built.begin("words", sides, out)
    (tmp_path / "measured.jsonl").unlink()
    with pytest.raises(ForgettingError, match=r"measured\.jsonl"):
        write_built(built, [], Account(settings={}, counts={}, separations=[]))
    assert not out.parent.exists()


REVIEW = [{"id": "a", "text": 'says "no", twice\nand more', "keep": ""}, {"id": "b", "text": "é", "keep": ""}]


@pytest.mark.parametrize("name", ["review.csv", "review.jsonl"])
def test_a_review_is_read_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    [(path, text)] = review_file(tmp_path / name, REVIEW).items()
    path.write_text(text, encoding="utf-8")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file)) if name.endswith("csv") else [json.loads(line) for line in file]
    assert rows == REVIEW
    assert review_file(path, REVIEW) == {path: text}, "the same review may be written again"
    path.write_text(text.replace("no", "yes"), encoding="utf-8")
    with pytest.raises(RunError, match=f"{name}: holds a review that may have been edited; give it back"):
        review_file(path, REVIEW)


def test_a_review_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"choose a name that ends in \.csv or \.jsonl"):
        review_file(tmp_path / "review.txt", REVIEW)
