"""DUET's figure 9: MMLU and HellaSwag are asked at every rate of a sweep, here on a tiny model and invented tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forgetting.benchmarks.harness_lists import Listed
from forgetting.recipe.sweep import load_sweep
from tests.pipeline.reproduce.rehearsal import Rehearsal
from tests.pipeline.reproduce.rehearsal_tasks import write_tasks
from tests.pipeline.sweep.test_built_in import carried_out, check

TASKS = [Listed("mmlu"), Listed("hellaswag", "acc_norm")]


def test_both_tasks_are_measured_at_each_rate(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="its runs are measured by lm-evaluation-harness")
    torch.set_num_threads(1)
    sweep = load_sweep("duet-figure9")
    chosen = [run for run in sweep.runs if run.point["method"] == "GradDiff" and run.point["forget set"] == "rare"]
    write_tasks(tmp_path / "tasks", TASKS)
    with Rehearsal() as rehearsal:
        runs = []
        for run in (chosen[0], chosen[4]):
            recipe = rehearsal.shrunk(run.recipe.with_values({"model": str(rehearsal.model("llama"))}))
            asked = [recipe.evaluate[0], f"harness:mmlu+hellaswag@{tmp_path / 'tasks'}"]
            runs.append(replace(run, recipe=recipe.with_values({"evaluate": asked})))
        results, page = carried_out(sweep, runs, tmp_path / "out")
    check(sweep, results, page)
    assert [run["point"]["learning_rate"] for run in results["runs"]] == ["1e-06", "5e-05"]
    for run in results["runs"]:
        measured = {f"{m['split']}/{m['name']}": m["value"] for m in run["measures"]}
        assert measured["mmlu/acc"] is not None and measured["hellaswag/acc_norm"] is not None
