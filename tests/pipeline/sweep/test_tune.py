"""A tuning carried out: one budget for each method, nothing done twice, chosen on one half, reported on the other."""

import csv
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetting.core.errors import DataError, RecipeError, RunError
from forgetting.core.folder import MARK, write_text
from forgetting.core.measure import Measure
from forgetting.core.progress import Voice
from forgetting.pipeline.run.judge import Judge, balances
from forgetting.pipeline.sweep import run as sweep_module
from forgetting.pipeline.sweep.study import FIRST
from forgetting.pipeline.sweep.tune import REPORTED, check, run_tuning
from forgetting.pipeline.sweep.tune_plan import TunePlan, plan_tuning
from forgetting.recipe import Recipe
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.sweep import SweepResults
from tests.pipeline.sweep.test_run import Here

pytest.importorskip("optuna")


@pytest.fixture
def quick(recipe_file: Path) -> Path:
    """GradDiff on all weights, a few steps, measured after each second."""
    values = yaml.safe_load(recipe_file.read_text())
    stage = {"method": "graddiff", "learning_rate": 2e-3, "batch_size": 4, "duration": "6 steps"}
    values["stages"] = [{**stage, "evaluate_every": "2 steps"}]
    recipe_file.write_text(yaml.safe_dump(values))
    return recipe_file


@pytest.fixture
def played(quick: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, and nothing is trained: the balance rises with the steps, most at a rate of 2e-2."""
    monkeypatch.setattr(sweep_module, "run", play)
    return quick


def measure(key: str, value: float) -> Measure:
    split, _, name = key.partition("/")
    return Measure(name=name, split=split, value=value, count=6, direction="up")


def quality(recipe: Recipe) -> float:
    return max(0.0, 1.0 - abs(math.log10(recipe.stages[-1].learning_rate / 2e-2)))


def play(recipe: Recipe, *, voice: Voice, judge: Judge | None = None) -> None:
    """Leaves what a run leaves; its balance on the reported half is half of that on the selection half."""
    folder, stage = RunFolder(recipe.folder), recipe.stages[-1]
    write_text(folder.recipe_file, recipe.to_yaml())
    write_text(folder.stage(stage.name).last / MARK, "")
    total = int(stage.duration.value)
    for step in range(2, total + 1, 2):
        found = (measure("all/balance", quality(recipe) * step / (step + 4)),)
        folder.evaluations.write(Evaluation(point="epoch", stage=stage.name, step=step, measures=found), ())
        why = "" if judge is None else judge(balances(folder, stage.name, step))
        if why:
            folder.write_pruned(why)
            return
    forget = {"selection-forget/probability": 0.8, "forget/probability": 0.8}
    value = quality(recipe) * total / (total + 4)
    ends = {
        "selection-forget/probability": 0.8 * (1 - value),
        "forget/probability": 0.8 * (1 - value / 2),
        "all/balance": value,
    }
    points = [("before", None, forget), ("after", stage.name, ends)]
    evaluations = [
        {
            "point": point,
            "stage": name,
            "measures": [
                {"name": k.split("/")[1], "split": k.split("/")[0], "value": v, "count": 6} for k, v in values.items()
            ],
        }
        for point, name, values in points
    ]
    results = {
        "format": 1,
        "name": recipe.name,
        "status": "complete",
        "stages": [{"name": stage.name, "method": stage.what, "epochs": 1.0, "stopped": "duration", "message": ""}],
        "declaration": {
            "headline": {"forgotten": ["forget/probability"]},
            "balance": {"forget": "selection-forget/probability", "retain": "", "utility": ""},
            "forget_splits": ["forget"],
        },
        "evaluations": evaluations,
    }
    write_text(folder.results_file, json.dumps(results))
    write_text(folder.report_file, "")


def plan(recipe: Path, budget: int, methods: tuple[str, ...] = ("graddiff", "npo"), *changes: str) -> TunePlan:
    return plan_tuning(str(recipe), changes, methods=methods, budget=budget, seeds=2)


def tuning_of(folder: Path) -> Any:
    found = SweepResults.load(folder).tuning
    assert found is not None
    return found


def test_every_method_has_the_same_budget_and_its_best_runs_again_with_fresh_seeds(played: Path) -> None:
    mine, here, said = plan(played, FIRST + 3), Here(), list[str]()
    folder = run_tuning(mine, engine=here, voice=Voice(say=said.append))
    results = SweepResults.load(folder)
    tuning = tuning_of(folder)
    for method in ("graddiff", "npo"):
        trials = tuning.of(method)
        assert [trial.number for trial in trials] == list(range(FIRST + 3))
        values = [trial.value for trial in trials if trial.value is not None]
        assert tuning.best(method).value == max(values)
    best = [tuning.chosen[method] for method in ("graddiff", "npo")]
    assert [run.name for run in results.runs] == [f"{name}-seed{seed}" for name in best for seed in (1, 2)]
    assert here.done == [t.name for pair in zip(*map(tuning.of, ("graddiff", "npo")), strict=True) for t in pair] + [
        run.name for run in results.runs
    ]
    assert tuning.facts == {"forget": (6, 6), "retain": (8, 8)}
    assert any("graddiff, trial 1 of 7: balance" in line for line in said)


def test_a_winner_at_an_end_of_its_range_is_named(played: Path) -> None:
    low = "space.learning_rate={low: 2e-3, high: 4e-3}"  # the best lies far above
    folder = run_tuning(plan(played, FIRST, ("graddiff",), low, "space.duration=[2, 6]"), engine=Here())
    best = tuning_of(folder).best("graddiff")
    near = best.point["learning_rate"] >= 3.98e-3
    assert ("learning_rate" in tuning_of(folder).ends["graddiff"]) == near
    alone = plan(played, 1, ("graddiff",), low, "name=alone")  # the recipe's own, which is the lower end
    assert tuning_of(run_tuning(alone, engine=Here())).ends == {"graddiff": ("learning_rate",)}


def test_what_is_reported_is_not_what_was_chosen_by(played: Path) -> None:
    folder = run_tuning(plan(played, 2, ("graddiff",)), engine=Here())
    results, tuning = SweepResults.load(folder), tuning_of(folder)
    assert results.columns[0] == f"{REPORTED}/balance"
    for run in results.runs:
        reported, chosen_by = run.measure(f"{REPORTED}/balance"), run.measure("all/balance")
        assert reported is not None and chosen_by is not None and reported.value is not None
        assert chosen_by.value == pytest.approx(tuning.best("graddiff").value)
        assert reported.value == pytest.approx(chosen_by.value / 2)
    assert tuning.balanced == ("forget",)


def test_trials_below_the_median_are_pruned_and_named_in_table_file_and_page(played: Path) -> None:
    folder = run_tuning(plan(played, FIRST + 6, ("graddiff",)), engine=Here())
    pruned = [trial for trial in tuning_of(folder).trials if trial.state == "pruned"]
    assert pruned and all(trial.value is None and trial.number >= FIRST for trial in pruned)
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows].count("pruned") == len(pruned)
    assert len(rows) == FIRST + 6 and float(rows[0]["learning_rate"]) == 2e-3
    assert "pruned at step" in (folder / "report.html").read_text()
    run = RunFolder(folder / pruned[0].name)
    assert not run.is_finished and run.pruned() == pruned[0].note
    assert max(pruned[0].steps) == int(pruned[0].note.split("step ")[1].split(":")[0])


def test_two_tunings_one_after_the_other_give_the_same_points(played: Path) -> None:
    def points(name: str, processes: int) -> list[tuple[str, Any]]:
        folder = run_tuning(
            plan(played, FIRST + 2, ("graddiff", "npo"), f"name={name}"), engine=Here(at_once=processes)
        )
        return [(trial.name, trial.point) for trial in tuning_of(folder).trials]

    first = points("one", 1)
    assert points("two", 1) == first
    assert points("three", 2) == first  # no more processes than methods
    assert points("four", 4) != first


def test_interrupted_anywhere_it_ends_as_if_it_had_not_been(played: Path) -> None:
    def results(name: str) -> Any:
        folder = plan(played, FIRST + 2, ("graddiff", "npo"), f"name={name}").folder
        found = SweepResults.load(folder)
        return tuning_of(folder), [(run.name, run.measures) for run in found.runs]

    whole = Here()
    run_tuning(plan(played, FIRST + 2, ("graddiff", "npo"), "name=whole"), engine=whole)
    done: list[str] = []
    parts = plan(played, FIRST + 2, ("graddiff", "npo"), "name=parts")
    while True:
        here = Here(interrupt_at=1)
        try:
            run_tuning(parts, engine=here)
        except KeyboardInterrupt:
            done += here.done
            continue
        done += here.done
        break
    assert done == whole.done  # each once, in the same order
    assert results("parts") == results("whole")


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(played: Path) -> None:
    run_tuning(plan(played, 3), engine=Here())
    before = tuning_of(plan(played, 3).folder)
    more = Here()
    run_tuning(plan(played, FIRST + 2), engine=more)
    after = tuning_of(plan(played, 3).folder)
    for method in ("graddiff", "npo"):
        assert after.of(method)[:3] == before.of(method)
        assert len(after.of(method)) == FIRST + 2
    assert not {trial.name for trial in before.trials} & {*more.done}
    run_tuning(plan(played, 3), engine=Here())  # and a smaller one looks at no more
    assert tuning_of(plan(played, 3).folder) == before


def test_another_number_of_processes_after_a_kill_removes_what_it_does_not_propose(played: Path) -> None:
    mine = plan(played, FIRST + 4, ("graddiff",))
    run_tuning(plan(played, FIRST, ("graddiff",)), engine=Here())
    with pytest.raises(KeyboardInterrupt):  # a batch of three, of which the last is not begun
        run_tuning(mine, engine=Here(interrupt_at=2, at_once=3))
    said: list[str] = []
    run_tuning(mine, engine=Here(), voice=Voice(say=said.append))
    trials = tuning_of(mine.folder).trials
    assert [trial.number for trial in trials] == list(range(FIRST + 4))
    for trial in trials:
        recipe = yaml.safe_load((mine.folder / trial.name / "recipe.yaml").read_text())
        assert recipe["stages"][0]["learning_rate"] == trial.point["learning_rate"]
    assert any("graddiff-005: an uncounted trial of another point is removed" in line for line in said)


def test_a_trial_killed_before_its_report_was_written_is_ended(played: Path) -> None:
    mine = plan(played, 2, ("graddiff",))
    run_tuning(mine, engine=Here())
    (mine.folder / "tune.db").unlink()
    best = tuning_of(mine.folder).chosen["graddiff"]
    for name in ("graddiff-001", f"{best}-seed1"):
        (mine.folder / name / "report.html").unlink()
        (mine.folder / name / ".lock").touch()
        (mine.folder / name / ".report.html.host.1.partial").touch()
    again = Here()
    run_tuning(mine, engine=again)
    assert again.done == ["graddiff-001", f"{best}-seed1"]
    assert all((file.parent / "report.html").is_file() for file in mine.folder.rglob("results.json"))
    assert [*mine.folder.glob("*/.*")] == []


def test_without_the_study_trials_of_another_recipe_are_refused_and_stay(played: Path) -> None:
    mine = plan(played, 2, ("graddiff",))
    run_tuning(mine, engine=Here())
    (mine.folder / "tune.db").unlink()
    ends = {file: file.read_bytes() for file in mine.folder.rglob("results.json")}
    again, changes = Here(), ("stages.unlearn.batch_size=2", "stages.unlearn.learning_rate=1e-3")
    with pytest.raises(RunError, match=r"graddiff-000: holds a run of another recipe: stages\.unlearn.* was .*; write"):
        run_tuning(plan(played, 2, ("graddiff",), *changes), engine=again)
    assert again.done == [] and len(ends) == 4
    assert {file: file.read_bytes() for file in mine.folder.rglob("results.json")} == ends


def test_a_failed_trial_counts_and_is_named(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_far_out(recipe: Recipe, **keywords: Any) -> None:
        if recipe.stages[-1].learning_rate > 3e-3:
            raise DataError("too fast")
        play(recipe, **keywords)

    monkeypatch.setattr(sweep_module, "run", fails_far_out)
    folder = run_tuning(plan(played, FIRST, ("graddiff",)), engine=Here())
    failed = [trial for trial in tuning_of(folder).trials if trial.state == "failed"]
    assert failed and all(trial.note == "too fast" and trial.value is None for trial in failed)
    assert f"{failed[0].name} failed, and counts as a trial: too fast" in (folder / "report.html").read_text()
    again = Here()
    run_tuning(plan(played, FIRST, ("graddiff",)), engine=again)
    assert again.done == []


def test_without_the_study_finished_trials_are_read_from_their_folders_and_failed_ones_tried_again(
    played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = plan(played, FIRST, ("graddiff",))
    ill = mine.trial("graddiff", 2, {}).name

    def fails(recipe: Recipe, **keywords: Any) -> None:
        if recipe.name == ill:
            raise DataError("disk full")
        play(recipe, **keywords)

    monkeypatch.setattr(sweep_module, "run", fails)
    folder = run_tuning(mine, engine=Here())
    assert tuning_of(folder).trials[2].state == "failed"
    before = tuning_of(folder).trials
    (folder / "tune.db").unlink()
    monkeypatch.setattr(sweep_module, "run", play)
    again = Here()
    run_tuning(plan(played, FIRST, ("graddiff",)), engine=again)
    after = tuning_of(folder).trials
    assert again.done[0] == ill and not {trial.name for trial in before if trial.name != ill} & {*again.done}
    assert [trial for trial in after if trial.name != ill] == [trial for trial in before if trial.name != ill]
    assert after[2].state == "complete"


def test_where_the_recipes_own_settings_fail_nothing_is_spent(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(recipe: Recipe, **keywords: Any) -> None:
        if recipe.stages[-1].what == "npo":
            raise DataError("no memory")
        play(recipe, **keywords)

    monkeypatch.setattr(sweep_module, "run", fails)
    here = Here()
    with pytest.raises(RunError, match=r"npo-000, with the recipe's own settings, failed: no memory; see .*logs"):
        run_tuning(plan(played, 3), engine=here)
    assert here.done == ["graddiff-000", "npo-000"]
    monkeypatch.setattr(sweep_module, "run", play)
    again = Here()
    run_tuning(plan(played, 3), engine=again)
    assert "npo-000" in again.done and "graddiff-000" not in again.done


def test_a_goal_that_is_not_measured_is_refused_before_a_run(played: Path) -> None:
    with pytest.raises(RecipeError, match="until: no measure is called 'selection-forget/nosuch'"):
        check(plan(played, 2, (), "until=forget/nosuch <= 0.1"))


def test_a_recipe_without_anything_to_choose_by_is_refused_before_a_run(played: Path, world: Path) -> None:
    rows = str(world / "retain.jsonl")
    learns = plan(played, 2, ("sft",), f"data={{train: {rows}}}")
    with pytest.raises(RecipeError, match="so nothing can be chosen by"):
        check(learns)
    with pytest.raises(RecipeError, match="train"):
        check(plan(played, 2, ("graddiff", "sft")))
    assert not learns.folder.exists()


def test_trials_of_another_recipe_are_not_mixed_in(played: Path) -> None:
    run_tuning(plan(played, 1, ("graddiff",)), engine=Here())
    with pytest.raises(RunError, match="another recipe, space or seed"):
        run_tuning(plan(played, 1, ("graddiff",), "batch_size=2"), engine=Here())


def test_real_runs_choose_on_one_half_and_report_the_other(quick: Path) -> None:
    mine = plan_tuning(str(quick), methods=["graddiff"], budget=2, seeds=1)
    folder = run_tuning(mine, engine=Here())
    results, tuning = SweepResults.load(folder), tuning_of(folder)
    trial = RunFolder(folder / "graddiff-000").results()
    assert trial.after is not None
    assert {m.split for m in trial.after.measures} == {"all", "selection-all", "selection-forget", "selection-retain"}
    assert trial.after.measure("selection-forget/probability").count == 6  # type: ignore[union-attr]
    assert [*tuning.trials[0].steps] == [2, 4, 6]
    kept = {path.suffix for path in (folder / "graddiff-000").rglob("*") if path.is_file()}
    assert ".safetensors" not in kept and ".pt" not in kept and {".json", ".jsonl"} <= kept
    assert [
        *(folder / "graddiff-000-seed1").rglob("*.safetensors"),
        *(folder / "graddiff-001-seed1").rglob("*.safetensors"),
    ]
    (run,) = results.runs
    final = RunFolder(folder / run.name).results()
    assert final.before is not None and final.after is not None
    halves = [{r.id for r in final_records(folder / run.name, split)} for split in ("forget", "selection-forget")]
    assert len(halves[0]) == len(halves[1]) == 6 and not halves[0] & halves[1]
    by_hand = 1 - final.after.measure("forget/probability").value / final.before.measure("forget/probability").value  # type: ignore[operator, union-attr]
    assert f"forgotten {max(by_hand, 0):.3g} (forget/probability" in run.measure(f"{REPORTED}/balance").meaning  # type: ignore[union-attr]


def final_records(folder: Path, split: str) -> Iterator[Any]:
    from forgetting.runs.results import Results

    found = Results.load(folder)
    return (record for record in found.records(found.after) if record.split == split)


COMMAND = """
import sys
from forgetting.pipeline.sweep.engines.local import Processes
from forgetting.pipeline.sweep.tune import run_tuning
from forgetting.pipeline.sweep.tune_plan import plan_tuning
if __name__ == "__main__":
    plan = plan_tuning(sys.argv[1], [f"name={sys.argv[2]}"], methods=["graddiff", "npo"], budget=2, seeds=1)
    run_tuning(plan, engine=Processes(2))
"""


@pytest.mark.slow
def test_killed_at_random_it_ends_with_the_same_trials_and_none_done_twice(quick: Path) -> None:
    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(quick), name],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    whole = start("whole")
    began = time.monotonic()
    _, errors = whole.communicate(timeout=600)
    assert whole.returncode == 0, errors.decode()
    length = time.monotonic() - began
    draw = random.Random(0)
    finished: dict[str, int] = {}
    folder = Path(yaml.safe_load(quick.read_text())["output"]) / "parts"
    for _ in range(3):
        process = start("parts")
        time.sleep(draw.uniform(0.4, 0.7) * length)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        for file in folder.glob("*/results.json"):
            assert finished.setdefault(file.parent.name, file.stat().st_mtime_ns) == file.stat().st_mtime_ns
    last = start("parts")
    _, errors = last.communicate(timeout=600)
    assert last.returncode == 0, errors.decode()
    assert finished and all((folder / name / "results.json").stat().st_mtime_ns == t for name, t in finished.items())
    one, other = tuning_of(folder.parent / "whole"), tuning_of(folder)
    assert one == other
    measures = [
        [[m for m in run.measures if m.name != "minutes"] for run in SweepResults.load(folder.parent / name).runs]
        for name in ("whole", "parts")
    ]
    assert measures[0] == measures[1]
