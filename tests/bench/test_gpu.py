"""The benchmark for one GPU, tried out on the processor: its parts, its ends, and what is said of what is missing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import gpu, gpu_arms, gpu_parts
from bench.gpu_arms import Work, measure
from bench.gpu_model import SIZES
from bench.gpu_parity import methods, parity
from bench.report import Plan
from forgetting.objectives.methods import METHODS

TINY = Work("cpu", SIZES["tiny"], rows=2, length=32, supervised=8, steps=1, warm_up=0, read=1)
ROOT = Path(__file__).resolve().parents[2]


def plan(out: Path, **more: Any) -> Plan:
    return Plan(quick=True, rounds=1, threads=1, say=lambda line: None, device="cpu", out=out, **more)


def test_every_objective_is_compared_and_the_processor_equals_itself() -> None:
    assert methods() == sorted(METHODS.names())
    whole, half = parity("npo", "cpu")
    assert (whole.loss_error, whole.gradient_error, whole.equal) == (0, 0, True)
    assert 0 < half.gradient_error < 0.1 and half.equal


@pytest.mark.parametrize("method", list(gpu_arms.PLAIN))
def test_ours_and_plain_begin_with_the_same_loss(method: str) -> None:
    ours, plain = (measure(arm, method, TINY).losses for arm in ("ours", "plain"))
    assert ours == pytest.approx(plain, rel=0.02, abs=0.05)  # logits in bf16


def test_losses_without_logits_are_those_of_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, reduction: str) -> torch.Tensor:
        return torch.nn.functional.cross_entropy((hidden @ weight.T).float(), targets, reduction=reduction)

    monkeypatch.setattr(gpu_arms, "_cut", whole)
    for method in ("graddiff", "npo"):
        cut, plain = (measure(arm, method, TINY).losses for arm in ("cut", "plain"))
        assert cut == pytest.approx(plain, rel=0.02, abs=0.05)


def test_what_is_not_installed_or_fails_is_a_row_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_arms, "installed", lambda package: False)
    monkeypatch.setattr(gpu_arms, "PLAIN", {"graddiff": "graddiff"})

    def measured(arm: str, method: str, work: Work) -> gpu_arms.Step:
        if arm == "plain":
            raise RuntimeError("out of\nmemory")
        return gpu_arms.Step(1.0, 2.0, 3.0, (0.5,))

    monkeypatch.setattr(gpu_arms, "measure", measured)
    rows = {row["arm"]: row for row in gpu_parts.PARTS["step-8b"][1]("cpu", True)}
    assert rows["ours"]["seconds"] == 1.0 and rows["plain"]["failed"] == "RuntimeError: out of memory"
    assert rows["liger"]["skipped"] == "liger_kernel is not installed"
    assert all("skipped" in row for row in gpu_parts.PARTS["qlora-8b"][1]("cpu", True))


def test_a_part_that_is_cut_leaves_its_rows_and_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def part(command: list[str], timeout: float, **more: Any) -> subprocess.CompletedProcess[str]:
        name, file = command[3], Path(command[command.index("--out") + 1])
        row = {"part": name, "method": "graddiff", "arm": "ours", "seconds": 2.0, "peak_mib": 5.0, "held_mib": 1.0}
        with file.open("a") as out:
            out.write(json.dumps(row) + "\n")
        if name == "step-1b":
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, 1 if name == "step-8b" else 0, stderr="a\nKilled")

    monkeypatch.setattr(gpu, "machine", lambda: {"processor": "any"})  # it may call a process, too
    monkeypatch.setattr(gpu.subprocess, "run", part)
    found = gpu.run(plan(tmp_path, limit=60.0))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert lines[0]["part"] == "machine" and lines[1:] == found.data["rows"]
    cut = {row["part"]: row["cut"] for row in lines if "cut" in row}
    assert cut == {"step-1b": "cut after 60 s", "step-8b": "ended with 1: Killed"}
    assert {row["part"] for row in lines if "seconds" in row} == set(gpu_parts.PARTS)
    assert "cut: cut after 60 s" in (tmp_path / "summary.txt").read_text()


def test_without_time_or_a_device_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = gpu.run(plan(tmp_path, limit=0.0))
    assert [row["cut"] for row in found.data["rows"]] == ["no time was left"] * len(gpu_parts.PARTS)
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match=r"^gpu: no CUDA device is to be seen"):
            gpu.run(Plan(quick=True, rounds=1, threads=1, say=lambda line: None, device="cuda", out=tmp_path))


def test_the_table_has_parity_in_a_line_and_ratios_to_plain() -> None:
    rows = [
        {"part": "parity", "method": "npo", "precision": "float32", "gradient_error": 0.5, "equal": False},
        {"part": "parity", "method": "ga", "precision": "float32", "gradient_error": 1e-6, "equal": True},
        {"part": "step-8b", "method": "npo", "arm": "ours", "seconds": 2.0, "peak_mib": 5.0, "held_mib": 1.0},
        {"part": "step-8b", "method": "npo", "arm": "plain", "seconds": 5.0, "peak_mib": 9.0, "held_mib": 1.0},
    ]
    lines = [*gpu._parity_lines(rows[:2]), *gpu._lines(rows)]
    assert lines[0][-1] == "1 of 2 objectives equal; gradient off by 5.0e-01 at most (npo); unequal: npo"
    assert lines[1][:4] == ("step-8b", "npo ours", "2.000", "2.50") and len(lines) == 3


@pytest.mark.slow
def test_the_script_tries_everything_out_on_a_processor(tmp_path: Path) -> None:
    import os
    import sys

    environment = {**os.environ, "OUT": str(tmp_path), "PYTHON": sys.executable}
    command = [str(ROOT / "bench" / "gpu.sh"), "--device", "cpu", "--quick", "--threads", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {row["part"] for row in rows} == {"machine", *gpu_parts.PARTS}
    assert not [row for row in rows if "failed" in row or "cut" in row]
    assert (tmp_path / "summary.txt").read_text().count(f"of {len(METHODS.names())} objectives equal") == 2
