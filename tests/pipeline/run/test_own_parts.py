"""What should stay is measured source by source too, so that the mean of all hides no part that was lost."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from forgetting.benchmarks.suite import Suite
from forgetting.core.example import Example
from forgetting.core.measure import Measure
from forgetting.core.record import Record, Score
from forgetting.metrics.damage import damaged
from forgetting.metrics.score import score
from forgetting.pipeline.run.own_parts import MOST_SOURCES
from forgetting.pipeline.run.prepare import StageData
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
        ({"a/x.jsonl": 6, "b/x.csv": 6}, ["retain-x-1", "retain-x-2"]),
        ({"ORG/my data/train": 6, "suite lab:popular": 6}, ["retain-train", "retain-suite-lab-popular"]),
        ({f"{i}.jsonl": 6 for i in range(MOST_SOURCES + 1)}, []),
    ],
)
def test_which_sources_are_measured_and_what_they_are_called(sizes: dict[str, int], names: list[str]) -> None:
    assert list(suite(sizes).subsets) == names


def test_a_run_says_what_became_of_each_source(recipe_file: Path, world: Path) -> None:
    rows = [{"question": f"What does guest {n} like?", "answer": "the cat"} for n in range(8)]
    both = f"data.retain=[{world / 'retain.jsonl'},{write_rows(world / 'guests.jsonl', rows)}]"
    given = ["duration=1 steps", "evaluate_every=null", both]
    results = Results.load(run(load_recipe(str(recipe_file), given), report=False))
    assert {s.of for s in results.subsets.values()} == {"retain"}
    assert list(results.subsets) == ["retain-retain", "retain-guests"]
    said = [f.text for f in verdict(results).findings if f.topic == "Kept besides"]
    assert [text.split(" · ")[0] for text in said] == ["retain-retain", "retain-guests"]
