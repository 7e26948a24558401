"""The training step: ours compared with a plain implementation and with the floor."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.table import Table

from bench.process import in_fresh_process
from bench.report import Plan, Report
from bench.step_arms import ARMS, METHODS, QUICK, Sample, Shape, measure

FULL = Shape()
TIME_TARGETS = {"graddiff": 1.25, "ihl": 1.25, "npo": 1.25, "ga_kl": 1.65}
"""Seconds per step as a multiple of the floor's, measured side by side."""
MEMORY_TARGET_MIB = 1.3e9 / 2**20
"""Peak memory above weights and optimiser."""


def run(plan: Plan) -> Report:
    """Every method × (floor, ours, plain), each in a process of its own, `plan.rounds` times over, interleaved."""
    shape = QUICK if plan.quick else FULL
    shape = replace(shape, threads=plan.threads or shape.threads)
    samples = []
    for index in range(plan.rounds):
        for method in METHODS:
            for arm in ARMS:
                sample = in_fresh_process(["bench.step_arms"], measure, arm, method, shape)
                plan.say(f"round {index + 1}/{plan.rounds}  {_line(sample)}")
                samples.append(sample)
    rows = [summary(method, samples) for method in METHODS]
    data = {
        "shape": asdict(shape),
        "machine": machine(),
        "targets": {"time": TIME_TARGETS, "memory_mib": MEMORY_TARGET_MIB},
        "summary": rows,
        "samples": [asdict(s) for s in samples],
    }
    return Report(_table(rows, shape, plan.rounds), data)


def summary(method: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """One method's medians over rounds; ratios are taken within a round first."""
    mine = {arm: [s for s in samples if (s.method, s.arm) == (method, arm)] for arm in ARMS}
    wall = {arm: [median(e.wall for e in s.steps) for s in runs] for arm, runs in mine.items()}
    cpu = {arm: [median(e.cpu for e in s.steps) for s in runs] for arm, runs in mine.items()}
    return {
        "method": method,
        "seconds": {arm: median(values) for arm, values in wall.items()},
        "ratio": {arm: ratio(wall[arm], wall["floor"]) for arm in ARMS[1:]},
        "cpu_ratio": {arm: ratio(cpu[arm], cpu["floor"]) for arm in ARMS[1:]},
        "peak_mib": {arm: _peak(runs) for arm, runs in mine.items()},
        "waiting": max(e.waiting for runs in mine.values() for s in runs for e in s.steps),
    }


def ratio(seconds: Sequence[float], floor: Sequence[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(seconds, floor, strict=True)]
    return {"median": median(ratios), "low": min(ratios), "high": max(ratios)}


def _line(sample: Sample) -> str:
    wall, cpu = median(e.wall for e in sample.steps), median(e.cpu for e in sample.steps)
    waiting = max(e.waiting for e in sample.steps)
    peak = mib(sample.peak_mib)
    return f"{sample.method:9} {sample.arm:6} {wall:6.2f} s/step  {cpu:6.2f} cpu  {peak:>6} MiB  waiting {waiting:.0%}"


def _peak(runs: Sequence[Sample]) -> float | None:
    peaks = [s.peak_mib for s in runs if s.peak_mib is not None]
    return median(peaks) if peaks else None


def mib(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"processor": model, "cores": os.cpu_count(), "torch": torch.__version__}


def _table(rows: Sequence[dict[str, Any]], shape: Shape, rounds: int) -> Table:
    title = f"One training step: {shape}; {rounds} rounds"
    table = Table("method", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in (
        *(f"{arm}\ns/step" for arm in ARMS),
        "ours ÷ floor\ntime",
        "\ntarget",
        "ours ÷ floor\nCPU time",
        "plain ÷ floor\ntime",
        *(f"{arm}\nMiB" for arm in ARMS),
        "\ntarget",
        "waiting\nat most",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["method"],
            *(f"{row['seconds'][arm]:.2f}" for arm in ARMS),
            spread(row["ratio"]["ours"]),
            f"{TIME_TARGETS[row['method']]:.2f}",
            spread(row["cpu_ratio"]["ours"]),
            spread(row["ratio"]["plain"]),
            *(mib(row["peak_mib"][arm]) for arm in ARMS),
            mib(MEMORY_TARGET_MIB),
            f"{row['waiting']:.0%}",
        )
    return table


def spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})"
