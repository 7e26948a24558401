"""A label before a suite changes names and nothing else: the kept step, verdict, table and figures are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetting.benchmarks.registry import SUITES, register_suite
from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.example import Example
from forgetting.metrics.standard import standard_declaration, standard_metrics
from forgetting.pipeline.run.run import run
from forgetting.recipe import recipe_from
from forgetting.report.drawing.curves import curves
from forgetting.report.run.tradeoff import tradeoff
from forgetting.report.table import main_table
from forgetting.report.verdict.verdict import verdict
from forgetting.runs.results import Results


def examples(what: str, count: int) -> tuple[Example, ...]:
    return tuple(
        Example(id=f"{what}{i}", prompt=f"Where does {what} {i} live?", response=f"In house {i % 3}.")
        for i in range(count)
    )


@pytest.fixture(autouse=True)
def suite(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SUITES, "_entries", dict(SUITES._entries))

    @register_suite("houses")
    def houses(variant: str, fast: bool) -> Suite:
        splits = {"forget": examples("guest", 6), "retain": examples("cook", 6), "utility": examples("clerk", 4)}
        return Suite(
            name="houses",
            splits=tuple(Split(name=name, examples=found, max_new_tokens=4) for name, found in splits.items()),
            metrics=standard_metrics(),
            data={"forget": splits["forget"], "retain": examples("maid", 6)},
            declares=standard_declaration(),
        )

    yield


def results(world: Path, output: Path, evaluate: object) -> Results:
    stage = {"method": "graddiff", "duration": "8 steps", "batch_size": 3, "learning_rate": 2e-2, "keep": "best"}
    recipe = {
        "model": str(world / "model"),
        "dtype": "float32",
        "output": str(output),
        "data": {role: {"suite": "houses"} for role in ("forget", "retain")},
        "evaluate": evaluate,
        "stages": [{**stage, "adapter": {"rank": 4}, "evaluate_every": "2 steps", "checkpoint_every": "8 steps"}],
    }
    return Results.load(run(recipe_from(recipe)))


@pytest.mark.parametrize("label", ["first", "unlearn"])
def test_a_labelled_suite_gives_the_same_run_and_the_same_report(label: str, world: Path, tmp_path: Path) -> None:
    plain = results(world, tmp_path / "plain", ["houses"])
    named = results(world, tmp_path / "named", {label: "houses"})

    def unnamed(text: object) -> str:
        return str(text).replace(f"{label}-", "").replace(f"{label.capitalize()}-", "").lower()

    def measures(run: Results) -> list[list[tuple[str, float | None]]]:
        return [[(unnamed(m.key), m.value) for m in e.measures] for e in run.evaluations]

    assert plain.after is not None and 0 < plain.after.step < 8  # a step in the middle is the best
    assert measures(named) == measures(plain)
    assert [stage.kept for stage in named.stages] == [stage.kept for stage in plain.stages]
    assert unnamed(verdict(named).sentences) == unnamed(verdict(plain).sentences)
    tables = [main_table([run]).as_json() for run in (plain, named)]
    for table in tables:
        table["columns"] = [column["key"] for column in table["columns"]]
    assert unnamed(json.dumps(tables[1])) == unnamed(json.dumps(tables[0]))
    assert len(curves([plain])) == len(curves([named])) == 3
    assert (tradeoff([named]) is None) == (tradeoff([plain]) is None) is False
