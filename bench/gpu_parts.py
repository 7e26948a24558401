"""The parts of the benchmark for one GPU, each in a process of its own: `python -m bench.gpu_parts PART …`.

A part writes a line of JSON for everything that it has measured as soon as it has, so that an end in the middle leaves
what was measured until then. What fails or is not installed is a line, too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench import evaluation_arms, fila, gpu_arms
from bench.gpu_arms import ARMS, Work
from bench.gpu_model import SIZES, random_llama
from bench.gpu_parity import methods, parity
from bench.process import Memory

Row = dict[str, Any]
Part = Callable[[str, bool], Iterator[Row]]
"""The device, and whether to use toy sizes -> what was measured, row by row."""


def _parity(device: str, quick: bool) -> Iterator[Row]:
    for method in methods():
        yield from _tried({"method": method}, partial(parity, method, device))


def _steps(size: str, *, four_bits: bool = False) -> Part:
    def part(device: str, quick: bool) -> Iterator[Row]:
        work = Work(device, SIZES["tiny" if quick else size], four_bits=four_bits)
        if quick:
            work = replace(work, rows=2, length=32, supervised=8, steps=1, warm_up=1, read=1)
        named = {"size": size, "weights": "nf4" if four_bits else "bf16"}
        for method in gpu_arms.PLAIN:
            for arm in (arm for arm, able in ARMS.items() if method in able):
                row = {**named, "method": method, "arm": arm}
                lacks_bits = four_bits and not gpu_arms.installed("bitsandbytes")
                why = "bitsandbytes is not installed" if lacks_bits else gpu_arms.missing(arm)
                if why:
                    yield {**row, "skipped": why}
                    continue
                yield from _tried(row, partial(_measured, arm, method, work))

    return part


def _importance(device: str, quick: bool) -> Iterator[Row]:
    """FILA's importance and decomposition of all matrices, by our procedure."""
    size = SIZES["tiny" if quick else "8b"]
    shape = fila.Shape(examples=2 if quick else 16, length=16 if quick else 256, vocabulary=size.vocabulary)

    def measured() -> list[Row]:
        model = random_llama(size, device).eval()
        forget, retain = fila.data_of(shape)
        memory = Memory(device)
        _, importance, decomposition = fila.start("ours", model, forget, retain)
        return [
            {
                "importance_seconds": importance.wall,
                "decomposition_seconds": decomposition.wall,
                "peak_mib": memory.peak_mib(),
            }
        ]

    yield from _tried({"size": "8b", "examples": 2 * shape.examples, "tokens": shape.length}, measured)


def _evaluation(device: str, quick: bool) -> Iterator[Row]:
    """Answers of TOFU's form: scores and greedy answers, ours beside a pass per metric."""
    shape = replace(evaluation_arms.QUICK, device=device, dtype="bfloat16")
    if not quick:
        shape = evaluation_arms.Shape(
            questions=400, hidden=2_048, layers=16, vocabulary=128_256, device=device, dtype="bfloat16"
        )
    for kind in ("unknown", "known"):
        yield from _tried({"answers": kind}, partial(_evaluations, kind, shape))


def _measured(arm: str, method: str, work: Work) -> list[gpu_arms.Step]:
    return [gpu_arms.measure(arm, method, work)]


def _evaluations(kind: str, shape: evaluation_arms.Shape) -> list[Row]:
    return [_evaluated(kind, shape)]


def _evaluated(kind: str, shape: evaluation_arms.Shape) -> Row:
    found = evaluation_arms.measure(kind, shape)
    passes = {name: seconds for name, (seconds, _) in found.passes.items()}
    return {
        "ours_seconds": found.ours[0],
        "ours_scored_seconds": found.scored[0],
        "passes_seconds": sum(passes[part] for part in evaluation_arms.ALL),
        "passes": passes,
        "same_answers": found.equal,
        "logp_error": found.error,
    }


PARTS: dict[str, tuple[float, Part]] = {
    "parity": (60.0, _parity),
    "step-1b": (100.0, _steps("1b")),
    "step-8b": (150.0, _steps("8b")),
    "qlora-8b": (60.0, _steps("8b", four_bits=True)),
    "importance-8b": (60.0, _importance),
    "evaluation": (60.0, _evaluation),
}
"""Each with the seconds that it may take."""


def _tried(named: Row, measure: Callable[[], list[Any]]) -> Iterator[Row]:
    try:
        found = measure()
    except Exception as error:  # one arm that fails says so, and leaves the others to be measured
        words = " ".join(f"{type(error).__name__}: {error}".split())
        yield {**named, "failed": words[:300]}
        return
    for row in found:
        yield {**named, **(row if isinstance(row, dict) else asdict(row)), **_equal(row)}


def _equal(row: Any) -> Row:
    return {"equal": row.equal} if hasattr(row, "equal") else {}


def main() -> None:
    """Measures one part and appends its rows to a file."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_parts")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with arguments.out.open("a", encoding="utf-8") as out:
        for row in PARTS[arguments.part][1](arguments.device, arguments.quick):
            out.write(json.dumps({"part": arguments.part, **row}) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
