"""A run in a process of its own that is killed (SIGKILL) at a known place, or that the caller kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def dying(function: Callable[..., Any], call: int, *, after: bool) -> Callable[..., Any]:
    """`function`, but the process is killed at its `call`-th call, before or after it did its work."""
    calls = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapper


def places() -> dict[str, tuple[Any, str, bool]]:
    """Where a run can be killed: the owner and the name of a function, and whether it does its work first."""
    import torch

    from forgetting.pipeline.run import records, stage, transform
    from forgetting.runs.stage_folder import StageFolder
    from forgetting.training import checkpoint

    return {
        "step": (torch.nn.utils, "clip_grad_norm_", True),  # gradients are there, the optimiser has not moved
        "evaluation": (records, "answer", False),
        "checkpoint": (checkpoint, "save_file", True),  # weights are written, optimiser state is not
        "transformed": (transform, "forward_cost", False),
        "result": (StageFolder, "write_result", True),
        "handing over": (stage, "save_model", False),
        "handed over": (stage, "save_model", True),
    }


def start(recipe: Path, output: Path, where: str = "", call: int = 0) -> subprocess.Popen[bytes]:
    """Starts the run; `where` and `call` say at which call of which place it is killed, "": nowhere."""
    command = [sys.executable, "-m", __name__, str(recipe), str(output), where, str(call)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE)


def code_of(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, 0 or −9."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode


def _main(recipe: str, output: str, where: str, call: str) -> None:
    from forgetting.pipeline.run.run import run
    from forgetting.recipe import load_recipe

    if where:
        owner, name, after = places()[where]
        setattr(owner, name, dying(getattr(owner, name), int(call), after=after))
    run(load_recipe(recipe, {"output": output}), report=False)


if __name__ == "__main__":
    _main(*sys.argv[1:])
