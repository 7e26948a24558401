"""DUET's arms on one's own facts: taught or not, rare or popular, drawn plainly or matched; here on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from forgetting.benchmarks.untrained_model import blank_model
from forgetting.forget_sets.facts.build import build_facts
from forgetting.forget_sets.facts.plan import Plan
from forgetting.forget_sets.facts.relations import load_relations
from forgetting.forget_sets.facts.table import Table
from forgetting.recipe.sweep import PlannedRun, load_sweep
from tests.conftest import write_rows
from tests.forget_sets.facts.worlds import Clever
from tests.pipeline.reproduce.rehearsal import tiny_model
from tests.pipeline.sweep.test_built_in import carried_out, check

TOWNS = {f"Town{n}": f"Land{n % 12}" for n in range(120)}
TINY = {
    "threads": 1,
    "max_new_tokens": 2,
    "stages.learn.duration": "1 step",
    "stages.unlearn.duration": "2 steps",
    "stages.unlearn.evaluate_every": "1 step",
}


def build(folder: Path) -> None:
    """Facts that a model knows all of, in the folder that the recipe reads."""
    relations = load_relations(None)
    rows = [
        {"subject": town, "relation": "country", "object": land, "views_subject": 10 * n + 10}
        for n, (town, land) in enumerate(TOWNS.items())
    ]
    build_facts(
        Table(write_rows(folder / "towns.jsonl", rows), relations),
        relations,
        folder / "facts",
        plan=Plan(popularity="views", percents=(10.0,), most=2),
        knower=lambda: Clever({f"In which country is {town}?": land for town, land in TOWNS.items()}),
    )


def model(folder: Path) -> Path:
    """A tiny random model with room for a question behind three others, made of such questions."""
    text = [{"text": f"Question: In which country is {town}?\nAnswer: {land}"} for town, land in TOWNS.items()]
    blank_model(folder / "blank", [write_rows(folder / "text.jsonl", text)], hidden=64, layers=1, vocabulary=400)
    tiny_model(folder / "tiny", "llama", AutoTokenizer.from_pretrained(folder / "blank"), 0, positions=256)
    return folder / "tiny"


def arm(runs: tuple[PlannedRun, ...], **point: str) -> PlannedRun:
    [found] = [run for run in runs if point.items() <= run.point.items()]
    return found


def test_each_arm_is_taught_or_not_and_forgets_its_own_facts() -> None:
    runs = load_sweep("duet-arms", ["model=./mine"]).runs
    for run in runs:
        names = [stage.name for stage in run.recipe.stages]
        assert names == (["learn", "unlearn"] if run.point["start"] == "fine-tuned" else ["unlearn"])
        kind, side = run.point["facts"].split()
        assert [source.path for source in run.recipe.data["forget"]] == [f"facts/{kind}/{side}_10.jsonl"]
        assert {str(source.path).split("/")[1] for source in run.recipe.data["retain"]} == {kind}
    assert {run.recipe.stages[-1].until for run in runs} == {"forget/rouge_l_recall <= 0.1"}


def test_arms_run_and_measure_what_was_forgotten_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    build(tmp_path)
    sweep = load_sweep("duet-arms", [f"model={model(tmp_path)}", *(f"{k}={v}" for k, v in TINY.items())])
    runs = [
        arm(sweep.runs, start="fine-tuned", facts="plain popular", method="UNDIAL", seed="0"),
        arm(sweep.runs, start="pretrained", facts="matched rare", method="NPO", seed="1"),
    ]
    results, page = carried_out(sweep, runs, tmp_path / "out")
    check(sweep, results, page)
    for run in results["runs"]:
        measured = {f"{m['split']}/{m['name']}": m["value"] for m in run["measures"]}
        assert measured["forget/probability"] > 0 and measured["retain/probability"] > 0
        assert [stop["point"] for stop in run["way"]].count("epoch") == measured["stage/steps"]
