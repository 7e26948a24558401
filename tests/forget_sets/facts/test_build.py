"""The builder from a source to its folder: what is written, counted, refused, and gone on from."""

import json
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import DataError, RunError
from forgetting.core.progress import Voice
from forgetting.data.examples import load_examples
from forgetting.data.reading import Heard
from forgetting.data.source import Source
from forgetting.forget_sets.facts.build import build_facts
from forgetting.forget_sets.facts.known import Knower
from forgetting.forget_sets.facts.plan import Plan
from forgetting.forget_sets.facts.table import Table
from tests.conftest import write_rows
from tests.forget_sets.facts.worlds import BUILT_IN, Clever

LANDS = ("Aland", "Borduria", "Cathay")
ROWS = [
    {
        "subject": f"Town{i}",
        "relation": "country",
        "object": LANDS[i % 3],
        "views_subject": 10 * i,
        "source_id": f"geonames:{i}",
    }
    for i in range(60)
] + [{"subject": "Bo", "relation": "twin", "object": "Cy", "views_subject": 5, "source_id": "geonames:99"}]
KNOWS = {f"In which country is Town{i}?": LANDS[i % 3] for i in range(60) if i % 10}


def built(folder: Path, *, knower: Knower | None = None, said: list[str] | None = None, **plan: Any) -> dict[str, Any]:
    table = Table(write_rows(folder / "f.jsonl", ROWS), BUILT_IN)
    return build_facts(
        table,
        BUILT_IN,
        folder / "out",
        plan=Plan(**{"popularity": "views", "percents": (10.0,), **plan}),
        knower=None if knower is None else lambda: knower,
        voice=Voice(say=(said if said is not None else []).append),
    )


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_folder_holds_rows_for_recipes_and_where_everything_is_from(tmp_path: Path) -> None:
    account = built(tmp_path, knower=Clever(KNOWS), fast=7)
    out = tmp_path / "out"
    counts = account["facts_left_after_each_step"]
    assert (counts["read"], counts["asked by the relations file"], counts["drawn to be asked"]) == (61, 60, 57)
    known, unknown = rows_of(out / "known.jsonl"), rows_of(out / "holdout.jsonl")
    assert (len(known) + len(unknown), counts["known by the model"]) == (57, len(known))
    assert {row["question"] for row in unknown}.isdisjoint(KNOWS)
    row = known[0]
    assert row["fact"]["source"] == "GeoNames, https://www.geonames.org"
    assert (row["fact"]["licence"], row["fact"]["popularity"]["name"]) == ("CC BY 4.0", "views")
    assert (row["fact"]["model_said"], row["fact"]["score"]) == (row["answer"], 1.0)
    assert len(rows_of(out / "plain" / "fast_retain_10.jsonl")) == 7
    assert "CC BY 4.0" in (out / "ATTRIBUTION.txt").read_text()
    assert json.loads((out / "build.json").read_text())["relations_without_template"] == {"twin": 1}
    assert account["by_relation"]["country"]["known"] == len(known)


def test_a_recipe_reads_the_rows_with_popularity_group_and_paraphrase(tmp_path: Path) -> None:
    built(tmp_path)
    said: list[str] = []
    examples = load_examples(Source(path=str(tmp_path / "out" / "matched" / "rare_10.jsonl")), Heard(said.append))
    assert said == [], "where a fact is from is no column that was forgotten"
    assert examples[0].popularity is not None
    assert examples[0].kind == "country"
    assert examples[0].paraphrased_prompt == f"What country is {examples[0].prompt[20:-1]} located in?"
    assert len({e.group for e in examples}) == len(examples)


def test_a_fact_whose_popularity_the_source_lacks_is_counted_and_in_no_set(tmp_path: Path) -> None:
    lacking = [{**row, "views_subject": None if i % 4 == 0 else row["views_subject"]} for i, row in enumerate(ROWS)]
    table = Table(write_rows(tmp_path / "f.jsonl", lacking), BUILT_IN)
    plan = Plan(popularity="views", percents=(10.0,), shots=0)
    account = build_facts(table, BUILT_IN, tmp_path / "out", plan=plan)
    counts = list(account["facts_left_after_each_step"].items())
    step = [name for name, _ in counts].index("with popularity")
    assert counts[step - 1][1] - counts[step][1] == 15
    rows = [row for file in (tmp_path / "out").rglob("*.jsonl") for row in rows_of(file)]
    assert rows and all(row["popularity"] for row in rows)


def test_shots_are_used_for_nothing_else(tmp_path: Path) -> None:
    built(tmp_path, knower=Clever(KNOWS), shots=4)
    shots = {row["question"] for row in rows_of(tmp_path / "out" / "shots.jsonl")}
    files = [f for f in (tmp_path / "out").rglob("*.jsonl") if f.name != "shots.jsonl"]
    assert len(shots) == 4
    assert not shots & {row["question"] for file in files for row in rows_of(file)}


def test_an_ended_build_leaves_no_folder_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, knower=Clever(KNOWS, fails_after=20))
    assert not (tmp_path / "out").exists()
    second, said = Clever(KNOWS), list[str]()
    again = built(tmp_path, knower=second, said=said)
    assert len(second.asked) == 37
    assert "20 of 57 answers are those of an earlier build" in said
    assert again == built(tmp_path, knower=Clever(KNOWS))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"popularity": "degree", "percents": (60.0,)}, "at most 50"),
        ({"combine": "sum"}, "no fact has views of both its subject and its object"),
        ({"shots": 100}, "100 are asked for, and there are 60 facts; lower --shots"),
        ({"shots": 10**23}, "are asked for, and there are 60 facts; lower --shots"),
    ],
)
def test_what_gives_no_benchmark_is_refused_in_one_line(tmp_path: Path, plan: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        built(tmp_path, knower=Clever(KNOWS), **plan)
    assert not (tmp_path / "out").exists()


def test_a_model_that_knows_nothing_and_facts_without_questions_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="knows none of 57 facts"):
        built(tmp_path, knower=Clever({}))
    table = Table(write_rows(tmp_path / "g.jsonl", ROWS[-1:]), BUILT_IN)
    with pytest.raises(DataError, match="no question for 'twin'; write one, or a relation '\\*'"):
        build_facts(table, BUILT_IN, tmp_path / "out", plan=Plan(popularity="views"))


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(RunError, match="holds other files"):
        built(tmp_path)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (0, "no matched split of 20%: no two known facts agree in relation and answer"),
        (2, "matched split of 20%: 2 rare and popular facts instead of 4, since no more pairs agree"),
    ],
)
def test_a_matched_split_that_is_less_than_asked_for_is_said(tmp_path: Path, pairs: int, expected: str) -> None:
    rows = [{"subject": f"Town{i}", "relation": "country", "object": f"Land{i}", "views": i} for i in range(20)]
    for i in range(pairs):
        rows[19 - i]["object"] = rows[i]["object"]
    table, said = Table(write_rows(tmp_path / "p.jsonl", rows), BUILT_IN), list[str]()
    plan = Plan(popularity="views", percents=(20.0,))
    account = build_facts(table, BUILT_IN, tmp_path / "out", plan=plan, voice=Voice(say=said.append))
    assert any(line.startswith(expected) for line in said), said
    assert account["files"]["plain/rare_20.jsonl"] == 4
    assert ("matched/rare_20.jsonl" in account["files"]) == bool(pairs)


def test_no_matched_split_is_made_unless_asked_for(tmp_path: Path) -> None:
    assert built(tmp_path, matched=())["splits"]["matched"] == {}
