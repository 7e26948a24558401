"""Built-in sweeps over the papers' models run: points of them on tiny models, with invented data and with real ones."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from forgetting.benchmarks.untrained_model import blank_model
from forgetting.pipeline.sweep.run import run_sweep
from forgetting.recipe.sweep import PlannedRun, Sweep, load_sweep
from tests.pipeline.reproduce.rehearsal import Rehearsal, tiny_model
from tests.pipeline.sweep.test_run import Here

DATA = Path(__file__).parents[4] / "shared" / "data"
SWEEPS = {
    "loku-figure2": "gpt_neo",
    "loku-figure3": "gpt_neo",
    "loku-figure4": "gpt_neo",
    "loku-figure5": "phi",
    "loku-figure6": "gpt_neo",
    "loku-figure7": "llama",
    "forgetting-figure1a": "llama",
    "forgetting-figure1b": "llama",
    "f2f-steps": "qwen3",
}
"""The architecture that a point of it is run on."""
HARNESS = [name for name in SWEEPS if name not in ("loku-figure5", "loku-figure7")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def rehearsal():
    with Rehearsal() as made:
        yield made


def needs(name: str) -> None:
    if name in HARNESS and importlib.util.find_spec("lm_eval") is None:
        pytest.skip("its runs are measured by lm-evaluation-harness")


def on_tiny_model(planned: PlannedRun, name: str, rehearsal: Rehearsal, values: Mapping[str, Any]) -> PlannedRun:
    models = {"model": str(rehearsal.model(SWEEPS[name]))}
    if planned.recipe.oracle is not None:
        models["oracle"] = str(rehearsal.model(SWEEPS[name], seed=1))
    return replace(planned, recipe=planned.recipe.with_values({**models, **values}))


def carried_out(sweep: Sweep, runs: Sequence[PlannedRun], folder: Path) -> tuple[dict[str, Any], str]:
    """The sweep with these runs alone: its results, and its page."""
    there = folder / sweep.file.name
    runs = [replace(run, recipe=run.recipe.with_values({"output": str(there)})) for run in runs]
    run_sweep(replace(sweep, folder=there, runs=tuple(runs)), engine=Here())
    return json.loads((there / "sweep.json").read_text()), (there / "report.html").read_text()


def check(sweep: Sweep, results: Mapping[str, Any], page: str) -> None:
    """Every run came to its end and gives all that the table and the figures show."""
    asked = {*(sweep.file.columns or ()), *(key for figure in sweep.file.figures for key in figure.keys)}
    for run in results["runs"]:
        assert run["status"] == "complete", (run["name"], run["error"], run["message"])
        measured = {f"{m['split']}/{m['name']}": m["value"] for m in run["measures"]}
        assert asked <= measured.keys(), run["name"]
        assert measured["run/flops"] is not None and measured["run/flops"] > 0
    assert "is measured by no run" not in page
    assert '<section id="figures">' in page


def one_of_each(sweep: Sweep) -> list[PlannedRun]:
    """A run for each label of the axis of methods, or the first and the last."""
    if "method" not in sweep.file.grid:
        return [sweep.runs[0], sweep.runs[-1]]
    found: dict[str, PlannedRun] = {}
    for run in sweep.runs:
        found.setdefault(run.point["method"], run)
    return list(found.values())


@pytest.mark.parametrize("name", SWEEPS)
def test_a_point_runs_on_invented_data_and_measures_every_column(
    name: str, rehearsal: Rehearsal, tmp_path: Path
) -> None:
    needs(name)
    sweep = load_sweep(name)
    planned = on_tiny_model(sweep.runs[-1], name, rehearsal, {})
    planned = replace(planned, recipe=rehearsal.shrunk(planned.recipe))
    check(sweep, *carried_out(sweep, [planned], tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_every_method_of_it_runs_on_invented_data(name: str, rehearsal: Rehearsal, tmp_path: Path) -> None:
    needs(name)
    sweep = load_sweep(name)
    runs = [on_tiny_model(run, name, rehearsal, {}) for run in one_of_each(sweep)]
    runs = [replace(run, recipe=rehearsal.shrunk(run.recipe)) for run in runs]
    check(sweep, *carried_out(sweep, runs, tmp_path))


def model_for_real_text(architecture: str, folder: Path) -> Path:
    """A tiny random model with room for real rows, and a tokenizer that was made of such text."""
    text = [DATA / "tdec" / "lm_extraction_32_0.csv", DATA / "tofu" / "forget10_qa.jsonl"]
    blank_model(folder / "blank", text, hidden=64, layers=1, vocabulary=2000)
    tiny_model(folder / "tiny", architecture, AutoTokenizer.from_pretrained(folder / "blank"), 0, positions=512)
    return folder / "tiny"


def real_passages(stages: Sequence[str]) -> dict[str, Any]:
    """Two passages of each of TDEC's own sets, two of the last as unseen text, and no benchmarks."""
    unseen = DATA / "tdec" / "lm_extraction_32_4.csv"
    sets = [DATA / "tdec" / f"lm_extraction_32_{number}.csv" for number in range(len(stages))]
    suites = [f"tdec:forget={path},unseen={unseen},count=2" for path in sets]
    values: dict[str, Any] = {"data.retain": {"path": str(DATA / "text" / "wikitext.jsonl.gz"), "limit": 2}}
    for stage, path in zip(stages, sets, strict=True):
        forget = {"suite": f"tdec:forget={path},count=2"}
        values |= {"data.forget": forget} if len(stages) == 1 else {f"stages.{stage}.data.forget": forget}
    return {**values, "evaluate": suites if len(suites) == 1 else dict(zip(stages, suites, strict=True))}


def real_questions(planned: PlannedRun) -> dict[str, Any]:
    """TOFU's own questions, of which only forget10 is here; eight of each role, which are measured too."""
    folder = DATA / "tofu"
    files = {"forget": "forget10_qa.jsonl", "retain": "retain_qa.jsonl", "alternate": "idontknow.jsonl"}
    limit = {"forget": 8, "retain": 8, "alternate": None}
    sources = {
        f"data.{role}": {"path": str(folder / files[role]), "limit": limit[role]} for role in planned.recipe.data
    }
    return {**sources, "evaluate": [], "max_new_tokens": 4}


def real_data(name: str, planned: PlannedRun) -> dict[str, Any]:
    stages = [stage.name for stage in planned.recipe.stages]
    if name in ("loku-figure5", "loku-figure7"):
        return real_questions(planned)
    if name.startswith("loku"):
        return real_passages(stages)
    if name.startswith("forgetting"):
        source = {"path": str(DATA / "domain" / "instruct_roleplay.jsonl.gz"), "limit": 200, "share": 1.0}
        return {"data.train": source, "corpus": {"size": 96, "reference": 48}, "evaluate": [], "max_new_tokens": 4}
    columns = {"prompt": "question", "response": "long_answer"}
    medical = {"path": str(DATA / "domain" / "pubmedqa_train.jsonl.gz"), "columns": columns, "limit": 16}
    book = {"path": str(DATA / "text" / "lambada_bookcorpus.jsonl.gz"), "form": "text", "limit": 8}
    return {"data.forget": book, "data.retain": medical, "data.train": medical, "evaluate": [], "max_new_tokens": 4}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here")
@pytest.mark.parametrize("name", SWEEPS)
def test_a_point_takes_two_steps_on_real_data(name: str, tmp_path: Path) -> None:
    sweep = load_sweep(name)
    planned = sweep.runs[0] if name != "loku-figure7" else next(r for r in sweep.runs if r.point["method"] == "DPO")
    values: dict[str, Any] = {"dtype": "float32", "threads": 1, **real_data(name, planned)}
    for stage in planned.recipe.stages:
        values |= {f"stages.{stage.name}.duration": "2 steps", f"stages.{stage.name}.until": None}
        if stage.evaluate_every is not None:
            values[f"stages.{stage.name}.evaluate_every"] = "2 steps"
    values["model"] = str(model_for_real_text(SWEEPS[name], tmp_path))
    values |= {"oracle": values["model"]} if planned.recipe.oracle is not None else {}
    planned = replace(planned, recipe=planned.recipe.with_values(values))
    results, _ = carried_out(sweep, [planned], tmp_path)
    [run] = results["runs"]
    assert run["status"] == "complete", (run["error"], run["message"])
    measured = {f"{m['split']}/{m['name']}": m["value"] for m in run["measures"]}
    assert measured["stage/steps"] == 2
    assert measured["run/flops"] > 0 and measured["run/minutes"] > 0
    points = [stop["point"] for stop in run["way"]]
    stages = [stage for stage in planned.recipe.stages if not stage.is_aside]
    assert points.count("after") == len(stages)
    assert points.count("epoch") == sum(stage.evaluate_every is not None for stage in stages)
