"""`python -m bench [name …] [--quick] [--rounds N] [--threads N] [--json FILE] [--device D] [--out FOLDER]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from bench import el, evaluation, fila, forgetting, gpu, real, step
from bench.report import Benchmark, Plan

BENCHMARKS: dict[str, Benchmark] = {
    "step": step.run,
    "el": el.run,
    "evaluation": evaluation.run,
    "fila": fila.run,
    "forgetting": forgetting.run,
    "real": real.run,
    "gpu": gpu.run,
}
ASKED_FOR = ("real", "gpu")
"""What runs only if it is named: it needs models that are not part of the repository, or a GPU."""


def main() -> None:
    """Runs the named benchmarks, all of them if none is named."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed and memory measurements.")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"{', '.join(BENCHMARKS)}; default: all but {', '.join(ASKED_FOR)}"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test on toy sizes; its numbers mean nothing")
    parser.add_argument("--rounds", type=int, default=3, help="repeats of every measurement (default: 3)")
    parser.add_argument("--threads", type=int, help="threads per process (default: the benchmark's own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every sample and every summary here")
    parser.add_argument("--device", default="cuda", help="of the benchmark gpu: cuda, or cpu to try it with --quick")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="of the benchmark gpu: where its results are written"
    )
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="of the benchmark gpu: for all of it")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark '{unknown[0]}'; known: {', '.join(BENCHMARKS)}")
    if arguments.rounds < 1 or (arguments.threads is not None and arguments.threads < 1):
        parser.error("--rounds and --threads must be at least 1")

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    plan = Plan(
        quick=arguments.quick,
        rounds=arguments.rounds,
        threads=arguments.threads,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        device=arguments.device,
        out=arguments.out,
        limit=arguments.limit,
    )
    data = {}
    for name in arguments.names or [n for n in BENCHMARKS if n not in ASKED_FOR]:
        report = BENCHMARKS[name](plan)
        console.print(report.table)
        data[name] = report.data
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
