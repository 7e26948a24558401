"""Killed anywhere (SIGKILL) and started again, a run ends with the same bits."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

DRIVER = '''
import os, signal, sys
from forgetting.pipeline.run import records
from forgetting.pipeline.run.run import run
from forgetting.recipe import load_recipe
from forgetting.training import checkpoint, loop

def dying(function, call, after):
    """`function`, but the process is killed at its `call`-th call, before or after it did its work."""
    calls = 0
    def wrapper(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapper

where, call = sys.argv[3], int(sys.argv[4])
if where == "step":  # gradients are there, the optimiser has not moved
    import torch
    torch.nn.utils.clip_grad_norm_ = dying(torch.nn.utils.clip_grad_norm_, call, True)
elif where == "evaluation":
    records.answer = dying(records.answer, call, False)
elif where == "checkpoint":  # weights are written, optimiser state is not
    checkpoint.save_file = dying(checkpoint.save_file, call, True)
run(load_recipe(sys.argv[1], ["output=" + sys.argv[2]]))
'''


def start(recipe: Path, output: Path, where: str = "nowhere", call: int = 0) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, str(recipe), str(output), where, str(call)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)


def finish(recipe: Path, output: Path) -> str:
    process = start(recipe, output)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
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
    process = start(recipe_file, tmp_path / "killed", where, call)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
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
