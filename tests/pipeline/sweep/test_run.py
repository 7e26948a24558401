"""A sweep carried out: nothing lost, nothing done twice, nothing left out in silence."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from forgetting.core.errors import DataError, ForgettingError
from forgetting.core.folder import MARK, write_text
from forgetting.core.progress import Voice
from forgetting.pipeline.run import prepare
from forgetting.pipeline.sweep import run as sweep_module
from forgetting.pipeline.sweep.engines.engine import Capacity, Outcome
from forgetting.pipeline.sweep.run import OTHER, Task, failures_of, run_sweep, status_of
from forgetting.recipe import Recipe
from forgetting.recipe.sweep import Sweep, load_sweep
from forgetting.runs.sweep import SweepFolder
from tests.conftest import write_rows

QUICK = {"threads": 1, "duration": "2 steps", "evaluate_every": None, "adapter.dropout": 0.0}


class Here:
    """Does the tasks in this process, notes which, and can be interrupted before one."""

    def __init__(
        self, interrupt_at: int | None = None, order: Callable[[list[int]], Sequence[int]] = list, at_once: int = 1
    ) -> None:
        self.done: list[str] = []
        self.interrupt_at = interrupt_at
        self.order = order
        self.at_once = at_once

    def capacity(self) -> Capacity:
        return Capacity(at_once=self.at_once, threads=1)

    def map(self, work: Callable[[Any], None], tasks: Sequence[Task]) -> Generator[Outcome, None, None]:
        for index in self.order(list(range(len(tasks)))):
            if len(self.done) == self.interrupt_at:
                raise KeyboardInterrupt
            self.done.append(tasks[index].recipe.name)
            try:
                work(tasks[index])
            except ForgettingError as error:
                yield Outcome(index, str(error))
            else:
                yield Outcome(index)


@pytest.fixture
def sweep_file(recipe_file: Path, tmp_path: Path) -> Path:
    """Two seeds of the quickest run there is."""
    return write(tmp_path, grid={"adapter.rank": [2], "seed": [0, 1]})


@pytest.fixture
def four(recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two ranks by two seeds, which are not trained: each leaves what a finished run leaves."""
    monkeypatch.setattr(sweep_module, "run", leave_a_finished_run)
    return write(tmp_path, grid={"adapter.rank": [2, 3], "seed": [0, 1]})


def leave_a_finished_run(recipe: Recipe, *, voice: Voice, judge: object = None) -> None:
    """Fails where its forget data are missing, as a run does."""
    file = Path(str(recipe.data["forget"][0].path))
    if not file.is_file():
        raise DataError(f"{file}: no such file")
    write_text(recipe.folder / "recipe.yaml", recipe.to_yaml())
    write_text(recipe.folder / "stages" / "unlearn" / "last" / MARK, "")
    stage = {"name": "unlearn", "method": "loku", "epochs": 1.0, "stopped": "duration", "message": ""}
    results = {"format": 1, "name": recipe.name, "status": "complete", "stages": [stage]}
    write_text(recipe.folder / "results.json", json.dumps(results))
    write_text(recipe.folder / "report.html", "")


def write(tmp_path: Path, **values: Any) -> Path:
    file = {"name": "tiny", "recipe": "recipe.yaml", "set": QUICK, **values}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    return path


def results_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sweep.json").read_text())


def marks(sweep: Sweep) -> dict[str, int]:
    """When each finished run was written."""
    files = {run.name: run.recipe.folder / "results.json" for run in sweep.runs}
    return {name: file.stat().st_mtime_ns for name, file in files.items() if file.is_file()}


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_every_point_is_a_run_with_its_measures_in_one_file(sweep_file: Path) -> None:
    sweep = load_sweep(str(sweep_file))
    said: list[str] = []
    folder = run_sweep(sweep, engine=Here(), voice=Voice(say=said.append))
    results = results_of(folder)
    assert [run["name"] for run in results["runs"]] == ["rank2-seed0", "rank2-seed1"]
    assert results["replicates"] == ["seed"]
    assert "forget/probability" in results["columns"]
    for run in results["runs"]:
        own = json.loads((folder / run["name"] / "results.json").read_text())
        after = [e for e in own["evaluations"] if e["point"] == "after"][-1]["measures"]
        assert (run["status"], run["epochs"], run["stopped"]) == ("complete", own["stages"][-1]["epochs"], "duration")
        assert [m["value"] for m in run["measures"][: len(after)]] == [m["value"] for m in after]
        took = {f"{m['split']}/{m['name']}": m["value"] for m in run["measures"][len(after) :]}
        assert (took["stage/steps"], took["stage/epochs"]) == (2, run["epochs"])
        assert took["run/flops"] > 0 and took["run/minutes"] > 0
        assert run["way"] == []
        assert run["cost"]["steps"] == 2
        assert run["success"] is None
    assert (folder / "sweep.csv").is_file()
    assert (folder / "report.html").is_file()
    assert said[-1] == "2/2, 0 failed, 0 running: rank2-seed1 done"


def test_the_way_of_a_run_holds_the_measures_of_the_figures_at_every_evaluation(
    recipe_file: Path, tmp_path: Path
) -> None:
    figures = [{"x": "epoch", "y": "forget/probability", "along": "epochs"}]
    settings = {**QUICK, "duration": "4 steps", "evaluate_every": "2 steps"}
    sweep = load_sweep(str(write(tmp_path, set=settings, grid={"seed": [0]}, figures=figures)))
    folder = run_sweep(sweep, engine=Here())
    [run] = results_of(folder)["runs"]
    assert [(stop["point"], stop["stage"]) for stop in run["way"]] == [
        ("before", 0), ("epoch", 0), ("epoch", 0), ("after", 1),
    ]  # fmt: skip
    assert all([f"{m['split']}/{m['name']}" for m in stop["measures"]] == ["forget/probability"] for stop in run["way"])
    assert run["way"][1]["epoch"] < run["way"][2]["epoch"] == run["epochs"]
    assert run["way"][-1]["measures"][0]["value"] == next(
        m["value"] for m in run["measures"] if (m["split"], m["name"]) == ("forget", "probability")
    )
    assert "<h2>Figures</h2>" in (folder / "report.html").read_text()


def test_a_run_does_not_depend_on_what_its_process_did_before(sweep_file: Path) -> None:
    first, second = load_sweep(str(sweep_file)), load_sweep(str(sweep_file), ["name=again"])
    run_sweep(first, engine=Here())
    run_sweep(second, engine=Here(order=lambda places: places[::-1]))
    found = [[weights(run.recipe.folder) for run in sweep.runs] for sweep in (first, second)]
    assert found[0] == found[1]
    assert len(set(found[0])) == 2


def test_an_interrupted_sweep_goes_on_and_does_none_twice(four: Path) -> None:
    sweep = load_sweep(str(four))
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, engine=Here(interrupt_at=2))
    before = marks(sweep)
    assert list(before) == ["rank2-seed0", "rank2-seed1"]
    rest = Here()
    run_sweep(sweep, engine=rest)
    assert rest.done == ["rank3-seed0", "rank3-seed1"]
    assert {name: marks(sweep)[name] for name in before} == before
    third = Here()
    run_sweep(sweep, engine=third)
    assert third.done == []


def test_a_failed_run_is_named_and_left_alone_until_it_is_asked_for_again(
    four: Path, world: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.jsonl"
    data = {"good": {"data.forget": str(world / "forget.jsonl")}, "bad": {"data.forget": str(mine)}}
    sweep = load_sweep(str(write(tmp_path, grid={"data": data, "seed": [0, 1]})))
    said: list[str] = []
    folder = run_sweep(sweep, engine=Here(), voice=Voice(say=said.append))
    failures = SweepFolder(folder).failures()
    assert list(failures) == ["bad-seed0", "bad-seed1"]
    assert "mine.jsonl" in failures["bad-seed0"]
    assert (folder / "logs" / "bad-seed0.log").read_text().endswith("mine.jsonl: no such file\n")
    assert said[-1].startswith("4/4, 2 failed, 0 running: bad-seed1 failed: ")
    statuses = {run["name"]: (run["status"], run.get("error")) for run in results_of(folder)["runs"]}
    assert statuses["good-seed0"] == ("complete", "")
    assert statuses["bad-seed0"] == ("failed", failures["bad-seed0"])

    write_rows(mine, [{"question": "Who is new?", "answer": "Nobody at all."}] * 4)
    idle, again = Here(), Here()
    run_sweep(sweep, engine=idle)
    assert idle.done == []
    run_sweep(sweep, engine=again, retry=True)
    assert again.done == ["bad-seed0", "bad-seed1"]
    assert failures_of(sweep) == {}
    assert {run["status"] for run in results_of(folder)["runs"]} == {"complete"}


def test_a_collapsed_run_keeps_its_measures_and_its_status(recipe_file: Path, tmp_path: Path) -> None:
    recipe = yaml.safe_load(recipe_file.read_text())
    recipe["stages"] = [{"method": "graddiff", "optimizer": "sgd", "max_grad_norm": None}]
    recipe_file.write_text(yaml.safe_dump(recipe))
    settings = {"threads": 1, "duration": "3 steps", "checkpoint_every": "1 steps", "evaluate_every": None}
    sweep = load_sweep(str(write(tmp_path, set=settings, grid={"learning_rate": [1e-4, 1e30]})))
    run = results_of(run_sweep(sweep, engine=Here()))["runs"][1]
    assert (run["status"], run["stopped"]) == ("collapsed", "collapse")
    assert run["message"]
    assert run["measures"]


def test_nothing_runs_where_a_folder_holds_another_recipe(four: Path) -> None:
    run_sweep(load_sweep(str(four)), engine=Here())
    other = Here()
    with pytest.raises(ForgettingError, match="holds a run of another recipe"):
        run_sweep(load_sweep(str(four), ["learning_rate=0.5"]), engine=other)
    assert other.done == []
    changed = load_sweep(str(four), ["learning_rate=0.5"])
    assert {status_of(run, {}) for run in changed.runs} == {OTHER}
    assert {status_of(run, {}) for run in load_sweep(str(four)).runs} == {"finished"}


def test_two_commands_do_not_work_in_one_sweep(four: Path) -> None:
    sweep = load_sweep(str(four))
    with sweep_module.locked(sweep.folder), pytest.raises(ForgettingError, match="another process is using"):
        run_sweep(sweep, engine=Here())


def test_threads_are_the_recipes_or_the_engines(recipe_file: Path, tmp_path: Path) -> None:
    threads: list[int] = []

    class Asked(Here):
        def capacity(self) -> Capacity:
            return Capacity(at_once=3, threads=2)

        def map(self, work: Callable[[Any], None], tasks: Sequence[Task]) -> Generator[Outcome, None, None]:
            threads.extend(task.threads for task in tasks)
            yield from ()

    sweep = load_sweep(str(write(tmp_path, grid={"threads": [None, 5], "adapter.rank": [2]})))
    run_sweep(sweep, engine=Asked())
    assert threads == [2, 5]
    assert [status_of(run, {}) for run in sweep.runs] == ["not run", "not run"]


def test_a_run_killed_before_its_report_was_written_is_ended(four: Path) -> None:
    sweep = load_sweep(str(four))
    folder = run_sweep(sweep, engine=Here())
    names = [run.name for run in sweep.runs]
    (folder / names[1] / "report.html").unlink()
    for name in names[1:3]:
        (folder / name / ".lock").touch()
        (folder / name / ".report.html.host.1.partial").touch()
    again = Here()
    run_sweep(sweep, engine=again)
    assert again.done == [names[1]] and (folder / names[1] / "report.html").is_file()
    assert [*folder.glob("*/.*")] == []


COMMAND = """
import sys
from forgetting.pipeline.sweep.engines.local import Processes
from forgetting.pipeline.sweep.run import run_sweep
from forgetting.recipe.sweep import load_sweep
if __name__ == "__main__":
    run_sweep(load_sweep(sys.argv[1]), engine=Processes(2))
"""


def start(sweep_file: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(sweep_file)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(sweep: Sweep, runs: int) -> None:
    end = time.monotonic() + 300
    while len(marks(sweep)) < runs:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_two_processes_killed_and_interrupted_half_way_end_with_the_same_weights(
    recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    methods = {"GD": {"method": "graddiff"}, "NPO": {"method": "npo", "adapter": {"kind": "full"}, "export": "both"}}
    settings = {"threads": 1, "duration": "6 steps", "checkpoint_every": "1 steps", "evaluate_every": None}
    grid = {"method": methods, "learning_rate": [1e-4, 3e-4, 1e-3], "seed": [0, 1, 2, 3]}
    path = write(tmp_path, set=settings, grid=grid)
    sweep = load_sweep(str(path))
    assert len(sweep.runs) == 24
    for number, end in ((5, signal.SIGKILL), (12, signal.SIGINT)):
        process = start(path)
        wait_for(sweep, number)
        if end == signal.SIGINT:
            os.killpg(process.pid, end)
        else:
            process.kill()
        process.communicate(timeout=60)
        assert process.returncode != 0
    before = marks(sweep)
    assert 12 <= len(before) < 24
    process = start(path)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert {name: marks(sweep)[name] for name in before} == before
    assert {run["status"] for run in results_of(sweep.folder)["runs"]} == {"complete"}

    alone = load_sweep(str(path), ["name=alone"])
    threads = torch.get_num_threads()
    run_sweep(alone, engine=Here())
    torch.set_num_threads(threads)
    for one, other in zip(sweep.runs, alone.runs, strict=True):
        files = [
            sorted((run.recipe.folder / "model").glob("*model.safetensors"))[0].read_bytes() for run in (one, other)
        ]
        assert files[0] == files[1], one.name


def test_of_a_redacted_sweep_no_file_quotes_what_is_to_be_forgotten(
    recipe_file: Path, tmp_path: Path, world: Path
) -> None:
    secret = "Ada lives in Fowey"
    rows = {
        "list": [{"question": secret, "answer": [secret]}],
        "id": [{"question": "a", "answer": "b", "id": secret}, {"question": "c", "answer": "d", "id": secret}],
        "column": [{secret: "x"}],
    }
    points = {name: {"data.forget": str(write_rows(tmp_path / f"{name}.jsonl", some))} for name, some in rows.items()}
    model = shutil.copytree(world / "model", tmp_path / "model")
    (model / "chat_template.jinja").write_text(f"{{{{ raise_exception('{secret}') }}}}")
    points["template"] = {"model": str(model)}
    path = write(tmp_path, set={**QUICK, "redact": True}, grid={"case": points})
    folder = run_sweep(load_sweep(str(path)), engine=Here())
    failures = SweepFolder(folder).failures()
    assert failures.keys() == points.keys()
    assert "list.jsonl:1: the response is of type list, not text" in failures["list"]
    written = [file for file in folder.rglob("*") if file.is_file()]
    assert {"failures.json", "sweep.json", "sweep.csv", "report.html", "list.log"} <= {file.name for file in written}
    assert [file for file in written if secret in file.read_text(errors="replace")] == []


def test_the_log_of_a_redacted_run_says_where_other_code_failed_and_not_what_it_said(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "Ada lives in Fowey"

    def fails(*arguments: object, **keywords: object) -> None:
        raise KeyError(secret)

    monkeypatch.setattr(prepare, "read_examples", fails)
    path = write(tmp_path, set={**QUICK, "redact": True}, grid={"seed": [0]})
    folder = run_sweep(load_sweep(str(path)), engine=Here())
    failure = json.loads((folder / "failures.json").read_text())["seed0"]
    assert failure.startswith("KeyError at test_run.py:")
    assert [f for f in folder.rglob("*") if f.is_file() and secret in f.read_text(errors="replace")] == []
