"""What should stay is measured source by source too, so that the mean of all hides no part that was lost."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from forgetting.benchmarks.suite import Suite
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.core.record import Record, Score
from forgetting.metrics.damage import damaged
from forgetting.metrics.score import score
from forgetting.pipeline.one_model.evaluate import evaluate
from forgetting.pipeline.run.own_parts import MOST_SOURCES, sampled
from forgetting.pipeline.run.prepare import StageData, load_data
from forgetting.pipeline.run.run import run
from forgetting.pipeline.run.suites import suite_of
from forgetting.recipe import load_recipe, recipe_from
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results
from tests.conftest import write_rows

RECIPE = recipe_from({"model": "m", "stages": [{"name": "unlearn", "method": "ga"}]})


def suite(sizes: dict[str, int]) -> Suite:
    """Of a run that forgets four examples and retains some of each source."""
    forget = [Example(id=f"f{i}", prompt="who?", response="he") for i in range(4)]
    parts = {source: [f"{source} {i}" for i in range(count)] for source, count in sizes.items()}
    retain = [Example(id=id, prompt="who?", response="she") for ids in parts.values() for id in ids]
    roles = {"forget": forget, "retain": retain}
    held = StageData(roles, dict.fromkeys(roles, "test"), parts={"retain": parts})
    return suite_of(RECIPE, {"unlearn": held})


def measured(of: Suite, level: dict[str, float]) -> list[Measure]:
    """Where every example has the probability of its source, a little spread."""
    records = [
        Record(id=e.id, split=s.name, prompt="", answer="a", generation="a", score=Score(math.log(p), 1))
        for s in of.splits
        for i, e in enumerate(s.examples)
        for p in [level[e.id.split(" ")[0]] * (1 + 0.01 * (i % 3)) if s.name == "retain" else 0.5]
    ]
    return score(of.metrics, records)


def test_a_source_that_was_lost_is_damage_where_the_mean_of_all_hides_it() -> None:
    of = suite({"docs.jsonl": 20, "data/books.jsonl": 200})
    assert {name: (s.of, len(s.ids)) for name, s in of.subsets.items()} == {
        "retain-docs": ("retain", 20),
        "retain-books": ("retain", 200),
    }
    before = measured(of, {"docs.jsonl": 0.9, "data/books.jsonl": 0.9})
    after = measured(of, {"docs.jsonl": 0.4, "data/books.jsonl": 0.89})
    values = {m.key: m.value for m in after}
    assert values["retain-docs/probability"] == pytest.approx(0.404, abs=0.001)
    assert values["retain/probability"] == pytest.approx(0.85, abs=0.01)
    assert damaged(of.declares, before, after) == ("retain-docs/probability",)
    assert damaged(of.declares, before, before) == ()
    assert [column for column in of.declares.headline.columns if column[0].startswith("retain-")] == [
        ("retain-docs/probability",),
        ("retain-books/probability",),
    ]


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ({"docs.jsonl": 20}, []),
        ({"docs.jsonl": 5, "books.jsonl": 6}, ["retain-books"]),  # five show no change
        ({"a/x.jsonl": 6, "b/x.csv": 6}, ["retain-a-x", "retain-b-x"]),
        ({"x/a.jsonl": 6, "y/a.jsonl": 7, "x-a.jsonl": 8}, ["retain-x-a", "retain-y-a", "retain-x-a-1"]),
        ({"ORG/my data/train": 6, "suite lab:popular": 6}, ["retain-train", "retain-suite-lab-popular"]),
        ({"\N{CJK UNIFIED IDEOGRAPH-6587}.txt": 6, "?.txt": 6}, ["retain-\N{CJK UNIFIED IDEOGRAPH-6587}", "retain-1"]),
        ({f"{i}.jsonl": 6 for i in range(MOST_SOURCES + 1)}, []),
    ],
)
def test_which_sources_are_measured_and_what_they_are_called(sizes: dict[str, int], names: list[str]) -> None:
    assert list(suite(sizes).subsets) == names


def test_a_small_source_is_measured_beside_a_large_one_in_every_sample() -> None:
    sizes = {"small.jsonl": 12, "large.jsonl": 2000}
    forget = [Example(id=f"f{i}", prompt="who?", response="he") for i in range(4)]
    parts = {source: [f"{source} {i}" for i in range(count)] for source, count in sizes.items()}
    retain = [Example(id=id, prompt=id, response="she") for ids in parts.values() for id in ids]
    data = {"unlearn": StageData({"forget": forget, "retain": retain}, {}, parts={"retain": parts})}
    few, many = ({e.id for e in sampled(retain, limit, data)} for limit in (150, 500))
    assert few < many
    assert [len(few & {*parts["small.jsonl"]}), len(many & {*parts["small.jsonl"]})] == [12, 12]
    assert 150 <= len(few) <= 162 and 500 <= len(many) <= 512
    assert len(sampled(retain, 150)) == 150


def test_what_a_later_stage_forgets_is_not_to_stay_and_what_an_earlier_one_forgot_is_warned_of(
    recipe_file: Path, world: Path
) -> None:
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(8)]
    guests = str(write_rows(world / "guests.jsonl", rows))
    retained = [str(world / "retain.jsonl"), guests]
    unlearn = {"method": "graddiff", "duration": "1 steps", "evaluate_every": None, "learning_rate": 1e-5}
    stages = [
        {"name": "one", **unlearn, "data": {"retain": retained}},
        {"name": "two", **unlearn, "data": {"forget": guests}},
        {"name": "three", **unlearn, "data": {"retain": guests}},
    ]
    values = {"model": str(world / "model"), "data": {r: str(world / f"{r}.jsonl") for r in ("forget", "retain")}}
    said: list[str] = []
    recipe = recipe_from({**values, "stages": stages})
    data = load_data(recipe, Voice(say=said.append))
    kept = next(split for split in suite_of(recipe, data).splits if split.name == "retain")
    assert {e.where.split(":")[0].split("/")[-1] for e in kept.examples} == {"retain.jsonl"}
    assert [line for line in said if "teaches them again" in line] == [
        f"warning: stage 'three' retains 8 examples that an earlier stage is to forget (the first: {guests}:1); it "
        "teaches them again"
    ]


def test_a_run_says_what_became_of_each_source(recipe_file: Path, world: Path) -> None:
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(8)]
    both = f"data.retain=[{world / 'retain.jsonl'},{write_rows(world / 'guests.jsonl', rows)}]"
    given = ["duration=1 steps", "evaluate_every=null", both]
    results = Results.load(run(load_recipe(str(recipe_file), given), report=False))
    assert {s.of for s in results.subsets.values()} == {"retain"}
    assert list(results.subsets) == ["retain-retain", "retain-guests"]
    again = evaluate(
        str(world / "model"), settings={"data": {"retain": both.removeprefix("data.retain=")[1:-1].split(",")}}
    )
    of_sources = (
        {m.key: m.value for m in results.before.measures if m.split.startswith("retain-")} if results.before else {}
    )
    assert of_sources and {m.key: m.value for m in again.measures if m.split.startswith("retain-")} == of_sources
    said = [f.text for f in verdict(results).findings if f.topic == "Kept besides"]
    assert [text.split(" · ")[0] for text in said] == ["retain-retain", "retain-guests"]
