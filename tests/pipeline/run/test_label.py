"""A label before a suite changes names and nothing else: the kept step, verdict, table and figures are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forgetting.benchmarks.registry import SUITES, register_suite
from forgetting.benchmarks.suite import Split, Suite, joined, labelled
from forgetting.core.example import Example
from forgetting.metrics.standard import standard_declaration, standard_metrics
from forgetting.pipeline.finished_run.model_card import model_card
from forgetting.pipeline.run.run import run
from forgetting.recipe import recipe_from
from forgetting.report.drawing.curves import curves
from forgetting.report.headline_measures import headline_keys
from forgetting.report.run.tradeoff import path, tradeoff
from forgetting.report.table import main_table
from forgetting.report.verdict.several_runs import comparison
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
        return (
            str(text).replace(f"{label}-", "").replace(f"{label.capitalize()}-", "").replace(f"{label} · ", "").lower()
        )

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
    assert (path([named]) is None) == (path([plain]) is None) is False
    assert [unnamed(key) for key in headline_keys([named])] == headline_keys([plain])  # a sweep's columns
    assert [unnamed(key) for key in named.declared.alarm] == list(plain.declared.alarm)
    cards = [card(run) for run in (plain, named)]
    assert unnamed(cards[1]).replace("named", "plain") == unnamed(cards[0])
    twins = [[run, replace(run, folder=run.folder, name="twin")] for run in (plain, named)]
    plain_one, named_one = (comparison(runs).sentences for runs in twins)
    assert unnamed(named_one) == unnamed(plain_one)


def card(run: Results) -> str:
    judged = verdict(run)
    made = model_card(run, judged, name="me/it", base=None, adapter=True, curlora=False, license_name=None)
    rows = [line.strip("|").split("|") for line in made.text.splitlines() if "/" not in line]
    return "\n".join("|".join(cell.strip() for cell in row) for row in rows if "took" not in row[0])


def test_a_label_renames_what_counts_for_each_stage_too() -> None:
    declared = standard_declaration()
    own = Suite(name="own", splits=(), metrics=(), declares=declared, stages={"two": declared.labelled("two-")})
    assert labelled(own, "first").declared("two") == declared.labelled("first-two-")
    both = joined([own, Suite(name="other", splits=(), metrics=())])
    assert both.declared("two").balance == declared.labelled("two-").balance
