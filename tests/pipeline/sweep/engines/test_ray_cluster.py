"""Tasks on a Ray cluster: deaths are made good elsewhere, errors are outcomes, and nothing outlives the command."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetting.core.errors import RunError
from forgetting.core.interruption import Interrupted, listening
from forgetting.pipeline.sweep.engines import ray_cluster
from forgetting.pipeline.sweep.engines.engine import Capacity
from forgetting.pipeline.sweep.engines.ray_cluster import RETRIES, Ray, check_fits
from forgetting.pipeline.sweep.engines.shared_folder import probed
from forgetting.recipe.sweep import load_sweep
from tests.pipeline.sweep.engines.ray_tasks import Job, save, times, work
from tests.pipeline.sweep.engines.test_local import interrupt_when, pids, running, wait_until
from tests.pipeline.sweep.test_run import marks, results_of

on_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray: make test-ray")
ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers of a new cluster import this module."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")


def test_a_run_that_fits_nowhere_is_one_line() -> None:
    places = {"a": {"CPU": 2.0}, "b": {"CPU": 8.0}}
    check_fits(8, places)
    with pytest.raises(RunError, match="asks for 9 threads, and no node has more than 8 CPUs; write threads="):
        check_fits(9, places)


class Nodes:
    """What Ray says of its nodes."""

    def __init__(self, *resources: dict[str, float]) -> None:
        self.found = [{"NodeID": str(i), "Alive": True, "Resources": r} for i, r in enumerate(resources)]
        self.found.append({"NodeID": "dead", "Alive": False, "Resources": {}})

    def nodes(self) -> Sequence[dict[str, Any]]:
        return self.found


CPUS = ({"CPU": 8.0}, {"CPU": 16.0}, {"memory": 1.0})
GPUS = ({"CPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}, {"CPU": 32.0, "GPU": 2.0})


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        (CPUS, {}, Capacity(24, threads=1)),
        (CPUS, {"at_once": 4}, Capacity(4, threads=6)),
        (CPUS, {"at_once": 1}, Capacity(1, threads=8)),
        (GPUS, {}, Capacity(6, threads=10)),
        (GPUS, {"gpus_per_run": 0.5}, Capacity(12, threads=5)),
        (GPUS, {"gpus_per_run": 4.0}, Capacity(1, threads=32)),
        (GPUS, {"gpus_per_run": 0.0}, Capacity(68, threads=1)),
    ],
)
def test_of_a_cluster_a_run_has_its_share(
    nodes: Sequence[dict[str, float]], options: dict[str, Any], expected: Capacity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "check_installed", lambda: None)
    assert Ray(Path("runs"), address="auto", _ray=Nodes(*nodes), **options).capacity() == expected


def test_more_gpus_than_a_node_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "check_installed", lambda: None)
    with pytest.raises(RunError, match="no node of the Ray cluster has a CPU and 5 GPUs"):
        Ray(Path("runs"), address="auto", gpus_per_run=5, _ray=Nodes(*GPUS)).capacity()


@on_ray
def test_errors_are_outcomes_and_dead_workers_are_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whats = ["data", "bug", "kill", "kill once", "term once", "print"]
    before = signal.getsignal(signal.SIGTERM)
    outcomes = Ray(tmp_path, at_once=2).map(work, [Job(what, str(tmp_path)) for what in whats])
    errors = {whats[o.task]: o.error for o in outcomes}
    killed = errors.pop("kill")
    assert errors == {
        "data": "rows.jsonl:3: no answer; write one",
        "bug": "ValueError: two lines",
        "kill once": None,
        "term once": None,
        "print": None,
    }
    assert killed is not None and "its worker died, and was replaced 3 times" in killed and "\n" not in killed
    begun = {what: times(tmp_path, what) for what in whats}
    assert begun == {"data": 1, "bug": 1, "kill": 1 + RETRIES, "kill once": 2, "term once": 2, "print": 1}
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGTERM) == before
    assert not list(tmp_path.glob(".probe*"))


@on_ray
def test_no_tasks_need_no_cluster(tmp_path: Path) -> None:
    engine = Ray(tmp_path, address="127.0.0.1:1")
    assert list(engine.map(work, [])) == []
    with pytest.raises(RunError, match=r"no Ray cluster can be joined there .*ray start --head"):
        engine.capacity()


@on_ray
def test_asked_to_end_the_tasks_save_and_the_rest_is_not_begun(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    with listening(), pytest.raises(Interrupted), closing(Ray(tmp_path, at_once=2).map(save, [str(noted)] * 3)) as left:
        interrupt_when(lambda: len(pids(noted)) == 2, lambda: next(left))
    assert {f"saved-{pid}" for pid in pids(noted)} == {file.name for file in tmp_path.glob("saved-*")}
    assert len(pids(noted)) == 2
    assert not any(running(pid) for pid in pids(noted))


@on_ray
def test_a_folder_that_a_worker_does_not_see_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here_alone(folder: Path) -> Generator[Any, None, None]:
        with probed(folder) as probe:
            yield replace(probe, path=tmp_path / "nowhere" / probe.path.name, delay=0)

    monkeypatch.setattr(ray_cluster, "probed", here_alone)
    with pytest.raises(RunError, match=r"does not see what was written to .*nowhere"):
        list(Ray(tmp_path).map(work, [Job("print", str(tmp_path))]))
    assert not list(tmp_path.iterdir())


COMMAND = (
    "import sys; from pathlib import Path; from forgetting.pipeline.sweep.engines.ray_cluster import Ray\n"
    "from tests.pipeline.sweep.engines.ray_tasks import save\n"
    "folder = Path(sys.argv[1])\n"
    "if __name__ == '__main__': list(Ray(folder.parent, at_once=2).map(save, [str(folder)] * 2))"
)


@on_ray
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_do_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    noted.mkdir()
    parent = subprocess.Popen([sys.executable, "-c", COMMAND, str(noted)], cwd=ROOT)
    assert wait_until(lambda: len(pids(noted)) == 2, 200)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not any(running(pid) for pid in pids(noted)))


@pytest.fixture
def cluster() -> Generator[str, None, None]:
    """The address of a cluster of this machine that commands join and leave."""
    options = ["--head", "--block", "--num-cpus=2", "--port=6397", "--include-dashboard=false"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--object-store-memory=80000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert any("Ray runtime started" in line for line in process.stdout)
    yield "127.0.0.1:6397"
    process.terminate()  # not `ray stop`, which would stop every cluster of this machine
    process.wait(60)


@on_ray
@pytest.mark.slow
def test_a_sweep_on_a_cluster_outlives_its_workers_and_its_command(
    cluster: str, recipe_file: Path, world: Path, tmp_path: Path
) -> None:
    settings = {"threads": 1, "duration": "6 steps", "checkpoint_every": "1 steps", "evaluate_every": None}
    file = {"name": "tiny", "recipe": "recipe.yaml", "set": settings, "grid": {"seed": [0, 1, 2, 3, 4, 5]}}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(file))
    sweep = load_sweep(str(path))
    command = [sys.executable, "-m", "forgetting", "sweep", str(path)]
    on_cluster = [*command, "--engine", "ray", "--address", cluster]
    driver = subprocess.Popen(on_cluster, cwd=tmp_path)
    assert wait_until(lambda: len(marks(sweep)) >= 2, 200)
    driver.kill()
    driver.wait()
    before = marks(sweep)
    subprocess.run([*on_cluster, "--json"], cwd=tmp_path, check=True, capture_output=True)
    assert {name: marks(sweep)[name] for name in before} == before
    assert {run["status"] for run in results_of(sweep.folder)["runs"]} == {"complete"}
    alone = load_sweep(str(path), ["name=alone"])
    subprocess.run([*command, "name=alone", "--json"], cwd=tmp_path, check=True, capture_output=True)
    found = [
        [
            [(m["name"], m["value"]) for m in run["measures"] if m["name"] != "minutes"]
            for run in results_of(one.folder)["runs"]
        ]
        for one in (sweep, alone)
    ]
    assert json.dumps(found[0]) == json.dumps(found[1])
