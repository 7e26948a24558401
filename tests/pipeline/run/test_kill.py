"""Killed anywhere (SIGKILL) and started again, a run ends with the same bits."""

import hashlib
import random
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.pipeline.run.dying import code_of, start

pytestmark = pytest.mark.slow


def finish(recipe: Path, output: Path) -> str:
    assert code_of(start(recipe, output)) == 0
    return weights(output)


def weights(output: Path) -> str:
    return hashlib.sha256((output / "run" / "model" / "adapter_model.safetensors").read_bytes()).hexdigest()


def history(output: Path) -> list[str]:
    return [
        line.split('"seconds"')[0]
        for line in (output / "run" / "stages" / "unlearn" / "history.jsonl").read_text().splitlines()
    ]


@pytest.mark.parametrize(
    ("where", "call"),
    [("step", 1), ("step", 6), ("evaluation", 4), ("evaluation", 7), ("checkpoint", 1), ("checkpoint", 5)],
)
def test_killed_at_a_known_place(recipe_file: Path, tmp_path: Path, where: str, call: int) -> None:
    expected = finish(recipe_file, tmp_path / "whole")
    assert code_of(start(recipe_file, tmp_path / "killed", where, call)) == -signal.SIGKILL
    assert finish(recipe_file, tmp_path / "killed") == expected
    assert history(tmp_path / "killed") == history(tmp_path / "whole")


@pytest.mark.parametrize(
    "method",
    [
        None,
        {"name": "rmu", "layer": 0, "coefficient": 5.0},
        "gru",
        {"name": "pdu", "bound": 1.0, "dual_step": 0.1},
    ],
    ids=["loku", "hidden states", "gradient rule", "dual variable"],
)
def test_killed_at_random_times(method: object, recipe_file: Path, tmp_path: Path) -> None:
    if method is not None:
        recipe = yaml.safe_load(recipe_file.read_text())
        recipe["stages"][0]["method"] = method
        recipe_file.write_text(yaml.safe_dump(recipe))
    began = time.monotonic()
    expected = finish(recipe_file, tmp_path / "whole")
    duration = time.monotonic() - began
    for seed in range(5):
        output = tmp_path / f"killed-{seed}"
        process = start(recipe_file, output)
        time.sleep(random.Random(seed).uniform(0.3, 0.95) * duration)
        process.kill()
        process.communicate()
        assert finish(recipe_file, output) == expected, f"seed {seed}"
        assert history(output) == history(tmp_path / "whole")
