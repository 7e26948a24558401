"""The example under DeepSpeed's ZeRO-2 on two processes of a CPU: losses and weights of one process without it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import forgetting
from examples.deepspeed.unlearn import CONFIG

SCRIPT = CONFIG.with_name("unlearn.py")
needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="pip install 'forgetting[deepspeed]'"
)


def unlearned(world: Path, out: Path, processes: int, *more: str) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of the script, run by torchrun."""
    files = [str(world / name) for name in ("model", "forget.jsonl", "retain.jsonl")]
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    here = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DS_ACCELERATOR": "cpu"}
    here["PYTHONPATH"] = str(Path(forgetting.__file__).parents[1])
    asked = ["--steps", "6", "--batch-size", "5", "--learning-rate", "1e-3", *more]
    done = subprocess.run([*launched, str(SCRIPT), *files, str(out), *asked], env=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    return [entry["loss"] for entry in history if "loss" in entry], model.state_dict()


@pytest.fixture(scope="module")
def plain(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Of one process without DeepSpeed."""
    return unlearned(world, tmp_path_factory.mktemp("plain"), 1, "--deepspeed", "")


def test_the_configuration_is_zero_2_and_leaves_the_sizes_to_the_trainer() -> None:
    asked = json.loads(CONFIG.read_text())
    assert asked["zero_optimization"]["stage"] == 2
    sizes = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    assert {asked[name] for name in sizes} == {"auto"}, "what the trainer's arguments say stands there once"


@needs_deepspeed
@pytest.mark.parametrize("micro_batch_size", ["1", "8"])
def test_two_processes_take_the_steps_of_one(
    micro_batch_size: str, plain: tuple[list[float], dict[str, torch.Tensor]], world: Path, tmp_path: Path
) -> None:
    (losses, weights), sharded = plain, unlearned(world, tmp_path, 2, "--micro-batch-size", micro_batch_size)
    assert len(losses) == 6 and sharded[0] == pytest.approx(losses, abs=2e-4)  # logs are rounded
    assert weights.keys() == sharded[1].keys()
    for name, weight in weights.items():
        torch.testing.assert_close(sharded[1][name], weight, rtol=1e-4, atol=1e-5)


@needs_deepspeed
def test_zero_3_is_refused_in_a_line(world: Path, tmp_path: Path) -> None:
    asked = json.loads(CONFIG.read_text())
    asked["zero_optimization"] = {"stage": 3}
    (tmp_path / "zero3.json").write_text(json.dumps(asked))
    with pytest.raises(AssertionError, match="which ZeRO-3 keeps in pieces; write stage 2"):
        unlearned(world, tmp_path / "out", 1, "--deepspeed", str(tmp_path / "zero3.json"))
