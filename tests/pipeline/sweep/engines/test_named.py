"""An engine from the words of a command: the right one, or one line that says why not."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from forgetting.core.errors import RunError
from forgetting.pipeline.sweep.engines import ray_connection
from forgetting.pipeline.sweep.engines.local import Processes
from forgetting.pipeline.sweep.engines.named import named_engine
from forgetting.pipeline.sweep.engines.ray_cluster import Ray

HERE = Path("runs")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Ray were there; these engines are not started."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())


def test_local_is_processes_and_one_if_nothing_is_said() -> None:
    assert named_engine("local", folder=HERE) == Processes(1)
    assert named_engine("local", folder=HERE, processes=3) == Processes(3)
    assert Processes(10**6).capacity().threads == 1


def test_ray_takes_the_options(installed: None) -> None:
    engine = named_engine("ray", folder=HERE, processes=3, address="10.0.0.1:6379", gpus_per_run=0.5)
    assert engine == Ray(HERE, at_once=3, address="10.0.0.1:6379", gpus_per_run=0.5)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'forgetting\[ray\]'"):
        named_engine("ray", folder=HERE)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("rya", {}, "did you mean 'ray'"),
        ("local", {"address": "auto"}, "--address is an option of --engine ray"),
        ("local", {"gpus_per_run": 0.0}, "--gpus-per-run is an option of --engine ray"),
        ("ray", {"address": "ray://head:10001"}, "write HOST:PORT"),
        ("ray", {"address": "head"}, "write HOST:PORT"),
        ("ray", {"gpus_per_run": 1.5}, "write a share of one GPU"),
        ("ray", {"gpus_per_run": float("nan")}, "write a share of one GPU"),
    ],
)
def test_what_cannot_be_is_one_line(name: str, options: dict[str, Any], said: str, installed: None) -> None:
    with pytest.raises(RunError, match=said):
        named_engine(name, folder=HERE, **options)
