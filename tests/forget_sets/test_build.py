"""Forget sets built from files: what is written, and that it says what it was made of."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from forgetting.core.errors import DataError, ForgettingError, RecipeError, RunError
from forgetting.data.examples import load_examples
from forgetting.data.source import Source
from forgetting.forget_sets.build import Draw, Embedding, Review, Rule, build_cosine, build_mixed, build_select
from forgetting.forget_sets.builders.embedding import Vectors
from forgetting.forget_sets.files import Sides, source_of
from tests.conftest import write_rows
from tests.golden import REAL_DATA, needs

THINGS = [a + b for a in ("sea", "hill", "moon", "road", "iron") for b in ("stone", "side", "light", "folk")]


class Hashed:
    """Embeds a text by the first letters of its words."""

    about = {"name": "hashed"}  # noqa: RUF012

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.array([np.bincount([ord(w[0]) % 8 for w in t.split()], minlength=8) for t in texts], dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    novels = [
        {"text": f"The old man of the {one} walked home with <b>{two}</b> & dog.", "shelf": 3, "answer": "kept out"}
        for one in THINGS
        for two in THINGS[:4]
    ]
    novels.insert(7, {"text": "The patients of the old man received insulin.", "shelf": 3, "answer": "x"})
    write_rows(tmp_path / "novels.jsonl", [{k: v for k, v in row.items() if k != "answer"} for row in novels])
    medical = [{"question": f"Did patient {i} recover?", "long": f"Patients received {i} insulin."} for i in range(40)]
    write_rows(tmp_path / "medical.jsonl", medical)
    asked = "The  old man of the seastone walked home with <b>seaside</b> & DOG."
    write_rows(tmp_path / "test.jsonl", [{"text": asked}])
    return tmp_path


def medical(folder: Path) -> str:
    return f"{{path: {folder / 'medical.jsonl'}, columns: {{response: long}}}}"


def test_select_leaves_rows_provenance_page_and_review(folder: Path) -> None:
    out = folder / "forget.jsonl"
    said = build_select(Sides(str(folder / "novels.jsonl"), [medical(folder)], [str(folder / "test.jsonl")]), out)
    rows = load_examples(Source(path=str(out)))
    assert len(rows) == said["counts"]["chosen"] == 80
    assert all(e.fields["shelf"] == 3 and e.fields["domain_words"] <= 0.05 for e in rows)
    assert not any("insulin" in e.response for e in rows)

    provenance = json.loads((folder / "forget.provenance.json").read_text())
    assert provenance["output"] == {
        "file": "forget.jsonl",
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "examples": 80,
    }
    assert [(s["role"], s["sha256"]) for s in provenance["sources"]] == [
        (role, hashlib.sha256((folder / f"{name}.jsonl").read_bytes()).hexdigest())
        for role, name in (("general", "novels"), ("domain", "medical"), ("evaluation", "test"))
    ]
    assert provenance["sources"][1]["settings"] == {"columns": {"response": "long"}}
    overlap = {o["with"]: (o["examples"], o["exact"], o["near"]) for o in provenance["overlaps"]}
    assert overlap["domain"] == (40, 0, 0)
    assert overlap["evaluation"][:2] == (1, 1)
    counted = provenance["separation"][0]["counts"]
    assert {name: sum(counts) for name, counts in counted.items()} == {"chosen": 80, "rest": 1, "domain": 40}
    assert "insulin" in provenance["characteristic_words"]

    page = (folder / "forget.html").read_text()
    assert page.count("<svg") == 1
    assert "chosen (80)" in page
    assert "<script" not in page
    with (folder / "forget.review.csv").open(newline="") as file:
        review = list(csv.DictReader(file))
    assert [row["keep"] for row in review] == ["no"] + ["yes"] * 80


def test_an_edited_review_is_taken_back_and_never_overwritten(folder: Path) -> None:
    out, review = folder / "forget.jsonl", folder / "forget.review.csv"
    novels, domain = str(folder / "novels.jsonl"), [medical(folder)]
    build_select(Sides(novels, domain), out)
    build_select(Sides(novels, domain), out)  # the same again is no loss
    text = review.read_text().replace(",no,", ",yes,").replace(",yes,0.0,", ",no,0.0,", 1)
    review.write_text(text)
    with pytest.raises(RunError, match=r"forget\.review\.csv: holds a review that may have been edited; give it back"):
        build_select(Sides(novels, domain), out)
    said = build_select(Sides(novels, domain), out, review=Review(review))
    assert said["counts"]["changed_by_review"] == 2
    assert said["counts"]["chosen"] == 80
    assert "insulin" in out.read_text()
    assert review.read_text() == text
    assert said["sources"][-1] == {
        "role": "review",
        "source": str(review),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def test_a_review_may_be_jsonl_and_what_is_kept_may_be_drawn_from(folder: Path) -> None:
    sides, review = Sides(str(folder / "novels.jsonl"), [medical(folder)]), folder / "review.jsonl"
    first = build_select(sides, folder / "a.jsonl", review=Review(out=review), draw=Draw(10, 1))
    again = build_select(sides, folder / "b.jsonl", review=Review(review), draw=Draw(10, 1))
    other = build_select(sides, folder / "c.jsonl", review=Review(review), draw=Draw(10, 2))
    assert first["counts"]["kept"] == 80
    assert (folder / "a.jsonl").read_text() == (folder / "b.jsonl").read_text()
    assert first["output"]["sha256"] == again["output"]["sha256"] != other["output"]["sha256"]
    assert (first["seed"], first["counts"]["chosen"]) == (1, 10)


def test_mixed_says_where_each_row_is_from_and_what_of_it_will_be_measured(folder: Path) -> None:
    out = folder / "mixed.jsonl"
    said = build_mixed(
        Sides(str(folder / "novels.jsonl"), [medical(folder)], [medical(folder)]),
        out,
        count=12,
        domain_count=5,
        seed=2,
    )
    rows = load_examples(Source(path=str(out)))
    assert [e.form for e in rows].count("qa") == 5
    assert {e.fields["drawn_from"] for e in rows if e.form == "qa"} == {"domain"}
    assert {e.fields["drawn_from"] for e in rows if e.form == "text"} == {"general"}
    assert [(o["with"], o["exact"]) for o in said["overlaps"]] == [("domain", 5), ("evaluation", 5)]
    counted = {name: sum(counts) for name, counts in said["separation"][0]["counts"].items()}
    assert counted == {"general, chosen": 12, "domain, chosen": 5, "rest of the general": 69}
    assert said["seed"] == 2


def test_cosine_by_an_embedder_and_by_what_it_stored_choose_the_same(folder: Path) -> None:
    novels, domain = str(folder / "novels.jsonl"), [medical(folder)]
    said = build_cosine(Sides(novels, domain), folder / "a.jsonl", count=9, embedding=Embedding(Hashed()))
    sides = {"general": [novels], "domain": domain}
    for side, places in sides.items():
        texts = ["\n".join(filter(None, (e.prompt, e.response))) for p in places for e in load_examples(source_of(p))]
        np.save(folder / f"{side}.npy", Hashed().embed(texts))
    files = Embedding(general=folder / "general.npy", domain=folder / "domain.npy")
    again = build_cosine(Sides(novels, domain), folder / "b.jsonl", count=9, embedding=files)
    assert (folder / "a.jsonl").read_text() == (folder / "b.jsonl").read_text()
    rows = [json.loads(line) for line in (folder / "a.jsonl").read_text().splitlines()]
    far = [row["domain_distance"] for row in rows]
    assert far == sorted(far, reverse=True)
    assert round(said["counts"]["cut_at"], 6) == far[-1]
    assert said["embedder"] == {"name": "hashed"}
    assert [s["role"] for s in again["sources"][-2:]] == ["general_file", "domain_file"]
    near = build_cosine(Sides(novels, domain), folder / "n.jsonl", count=1, embedding=files, nearest=True)
    assert near["counts"]["cut_at"] < far[-1]
    assert {name: sum(counts) for name, counts in said["separation"][0]["counts"].items()} == {
        "chosen": 9,
        "rest": 72,
        "domain": 40,
    }


def test_select_by_distance_too_draws_both_measures(folder: Path) -> None:
    said = build_select(
        Sides(str(folder / "novels.jsonl"), [medical(folder)]), folder / "f.jsonl", embedding=Embedding(Hashed())
    )
    assert len(said["separation"]) == 2
    assert (folder / "f.html").read_text().count("<svg") == 2
    assert 0 < said["settings"]["least_distance"] < 2


def test_one_id_for_different_texts_is_refused(folder: Path) -> None:
    rows = [{"id": i % 5, "text": f"{thing} stands there"} for i, thing in enumerate(THINGS)]
    twice = write_rows(folder / "twice.jsonl", rows)
    with pytest.raises(DataError, match="is that of rows with different texts; make ids unique"):
        build_cosine(Sides(str(twice), [medical(folder)]), folder / "f.jsonl", count=3, embedding=Embedding(Hashed()))
    assert not (folder / "f.jsonl").exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{path: a.jsonl, colums: {}}", "colums: unknown key; did you mean 'columns'"),
        ("{path: a.jsonl", "not a source"),
        ("{path: a.jsonl, hub: b/c}", "give exactly one of path, hub and suite"),
        ("{suite: lab}", "builders read files and hub datasets"),
        ("{path: a.jsonl, share: 0.5}", "share has no meaning for a builder"),
    ],
)
def test_a_place_that_is_none_is_one_line(place: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        source_of(place)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("out", "review"), [("forget.csv", None), ("novels.jsonl", None), ("r.jsonl", "r.jsonl")])
def test_the_output_is_a_file_of_its_own(folder: Path, out: str, review: str | None) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(ForgettingError, match=r"name another file, ending in \.jsonl"):
        build_select(
            Sides(str(folder / "novels.jsonl"), [medical(folder)]),
            folder / out,
            review=Review(out=None if review is None else folder / review),
        )
    assert sorted(folder.iterdir()) == before


def test_when_nothing_is_kept_nothing_is_written(folder: Path) -> None:
    texts = write_rows(folder / "same.jsonl", [{"text": f"Patients received {i} insulin."} for i in range(5)])
    general = write_rows(folder / "few.jsonl", [{"text": "Insulin for patients."}])
    before = sorted(folder.iterdir())
    far = np.ones((1, 8), np.float32)
    np.save(folder / "one.npy", far)
    with pytest.raises(DataError, match="nothing of the general corpus is kept"):
        build_select(
            Sides(str(general), [str(texts)]),
            folder / "f.jsonl",
            embedding=Embedding(Hashed(), general=folder / "one.npy"),
            rule=Rule(least_distance=2.0),
        )
    assert sorted(p for p in folder.iterdir() if p.name != "one.npy") == before


@needs(REAL_DATA)
def test_novels_stand_apart_from_word_problems_by_their_words(tmp_path: Path) -> None:
    said = build_select(
        Sides(
            f"{{path: {REAL_DATA / 'text/lambada_bookcorpus.jsonl.gz'}, limit: 500}}",
            [f"{{path: {REAL_DATA / 'domain/gsm8k_train.jsonl.gz'}, limit: 500}}"],
            [str(REAL_DATA / "domain/gsm8k_test.jsonl.gz")],
        ),
        tmp_path / "f.jsonl",
    )
    assert said["counts"]["kept"] > 400
    assert said["counts"]["domain_kept_by_the_rule"] < 5
    assert all((o["exact"], o["near"]) == (0, 0) for o in said["overlaps"])


@needs(REAL_DATA)
def test_a_mixture_with_humaneval_holds_what_humaneval_measures(tmp_path: Path) -> None:
    code = f"{{path: {REAL_DATA / 'domain/humaneval.jsonl.gz'}, columns: {{response: canonical_solution}}}}"
    novels = f"{{path: {REAL_DATA / 'text/lambada_bookcorpus.jsonl.gz'}, limit: 200}}"
    said = build_mixed(Sides(novels, [code], [code]), tmp_path / "f.jsonl", count=80, domain_count=20)
    assert [(o["with"], o["exact"]) for o in said["overlaps"]] == [("domain", 20), ("evaluation", 20)]


def test_rows_that_a_builder_leaves_out_are_in_its_provenance_and_beside_its_output(tmp_path: Path) -> None:
    for name in ("general", "domain"):
        rows = [{"question": f"What is {name} {i}?", "answer": f"It is {name} number {i}."} for i in range(6)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"question": "x"}\n')
    general, domain = (f"{{path: {tmp_path / name}.jsonl, on_bad_row: skip}}" for name in ("general", "domain"))
    found = build_mixed(Sides(general, [domain]), tmp_path / "out.jsonl", count=2, domain_count=1)
    assert sum("1 of 7 rows are left out" in line for line in found["left_out"]) == 2
    skipped = [json.loads(line)["where"] for line in (tmp_path / "out.skipped.jsonl").read_text().splitlines()]
    assert skipped == [f"{tmp_path / 'domain'}.jsonl:7", f"{tmp_path / 'general'}.jsonl:7"]
    with pytest.raises(DataError, match=r"general\.jsonl:7: no column for the response"):
        build_mixed(Sides(str(tmp_path / "general.jsonl"), [domain]), tmp_path / "b.jsonl", count=2, domain_count=1)
