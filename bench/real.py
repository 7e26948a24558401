"""Real pretrained models: our step and evaluation beside plain transformers and PEFT, and beside a floor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from bench.process import in_fresh_process
from bench.real_arms import ARMS, DATA, FOLDER, MODELS, Load, RealSample, measure_evaluation, measure_step
from bench.report import Plan, Report
from bench.step import machine, mib, ratio, spread
from bench.step_arms import METHODS


def run(plan: Plan) -> Report:
    """Every model × (method or evaluation) × arm, each in a process of its own, `plan.rounds` times, interleaved.

    Raises:
        SystemExit: the models or the data are not there; one line says what to do.
    """
    load = Load("lab", rows=4, questions=6, new_tokens=4, threads=1, steps=1) if plan.quick else Load("")
    load = replace(load, threads=plan.threads or load.threads)
    samples = []
    for index in range(plan.rounds):
        for name in ["lab"] if plan.quick else _models():
            for sample in _round(replace(load, model=name)):
                plan.say(f"round {index + 1}/{plan.rounds}  {_line(sample)}")
                samples.append(sample)
    rows = [
        summary(model, what, samples)
        for model in dict.fromkeys(s.model for s in samples)
        for what in (*METHODS, "evaluation")
    ]
    data = {"load": asdict(load), "machine": machine(), "summary": rows, "samples": [asdict(s) for s in samples]}
    return Report(_table(rows, load, plan.rounds), data)


def _round(load: Load) -> list[RealSample]:
    steps = [
        in_fresh_process(["bench.real_arms"], measure_step, arm, method, load) for method in METHODS for arm in ARMS
    ]
    return steps + [in_fresh_process(["bench.real_arms"], measure_evaluation, arm, load) for arm in ("ours", "plain")]


def _models() -> list[str]:
    folder = os.environ.get(FOLDER)
    if folder is None:
        raise SystemExit(f"real: set {FOLDER} to a folder that holds {' and '.join(MODELS)} as transformers save them")
    if not DATA.is_dir():
        raise SystemExit(f"real: {DATA}: not found; it holds the questions")
    found = [name for name in MODELS if (Path(folder) / name).is_dir()]
    if not found:
        raise SystemExit(f"real: {folder}: holds neither {' nor '.join(MODELS)}")
    return found


def summary(model: str, what: str, samples: Sequence[RealSample]) -> dict[str, Any]:
    """Medians over rounds of one model's step or evaluation; ratios are taken within a round first."""
    mine = {arm: [s for s in samples if (s.model, s.what, s.arm) == (model, what, arm)] for arm in ARMS}
    mine = {arm: runs for arm, runs in mine.items() if runs}
    wall = {arm: [median(e.wall for e in s.times) for s in runs] for arm, runs in mine.items()}
    cpu = {arm: [median(e.cpu for e in s.times) for s in runs] for arm, runs in mine.items()}
    pairs = [(a, b) for a, b in (("ours", "floor"), ("plain", "ours")) if a in mine and b in mine]
    same = [
        sum(a == b for a, b in zip(ours.texts, plain.texts, strict=True)) / len(ours.texts)
        for ours, plain in zip(mine["ours"], mine["plain"], strict=True)
        if ours.texts
    ]
    return {
        "model": model,
        "what": what,
        "seconds": {arm: median(values) for arm, values in wall.items()},
        "ratio": {f"{a} / {b}": ratio(wall[a], wall[b]) for a, b in pairs},
        "cpu_ratio": {f"{a} / {b}": ratio(cpu[a], cpu[b]) for a, b in pairs},
        "peak_mib": {arm: median(s.peak_mib or 0.0 for s in runs) for arm, runs in mine.items()},
        "same_texts": median(same) if same else None,
        "waiting": max(e.waiting for runs in mine.values() for s in runs for e in s.times),
    }


def _line(sample: RealSample) -> str:
    wall, cpu = median(e.wall for e in sample.times), median(e.cpu for e in sample.times)
    waiting = max(e.waiting for e in sample.times)
    return (
        f"{sample.model:13} {sample.what:10} {sample.arm:6} {wall:6.2f} s  {cpu:6.2f} cpu  "
        f"{mib(sample.peak_mib):>6} MiB  waiting {waiting:.0%}"
    )


def _table(rows: Sequence[dict[str, Any]], load: Load, rounds: int) -> Table:
    title = (
        f"Real models, LoRA; a step on {load.rows} + {load.rows} rows, an evaluation of {load.questions} questions; "
        f"{load.threads} threads, {rounds} rounds"
    )
    table = Table("model", "what", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    columns = ("ours / floor", "plain / ours")
    for column in (
        *(f"{arm}\ns" for arm in ARMS),
        *(f"{name.replace('/', '÷')}\n{kind}" for name in columns for kind in ("time", "CPU time")),
        *(f"{arm}\nMiB" for arm in ARMS),
        "same\nanswers",
        "waiting\nat most",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["model"],
            row["what"],
            *(f"{row['seconds'][arm]:.2f}" if arm in row["seconds"] else "" for arm in ARMS),
            *(
                spread(row[kind][name]) if name in row[kind] else ""
                for name in columns
                for kind in ("ratio", "cpu_ratio")
            ),
            *(mib(row["peak_mib"][arm]) if arm in row["peak_mib"] else "" for arm in ARMS),
            "" if row["same_texts"] is None else f"{row['same_texts']:.0%}",
            f"{row['waiting']:.0%}",
        )
    return table
