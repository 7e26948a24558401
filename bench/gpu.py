"""What the library takes on one GPU: parity of every objective, steps, FILA's importance, evaluation.

Every part of `gpu_parts.PARTS` runs in a process of its own, within its time and what is left of all. What was measured
until then is in `results.jsonl` of the output folder at any moment; `summary.txt` holds the table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.gpu_parts import PARTS, Row
from bench.report import Plan, Report
from bench.step import machine, mib

LIMIT = 450.0
"""Seconds for all parts, unless another number is given."""
RESULTS, SUMMARY = "results.jsonl", "summary.txt"
OUT = Path(__file__).parent / "gpu-results"


def run(plan: Plan) -> Report:
    """Every part in turn; a part that takes too long or ends by itself is cut, and the next one begins.

    Raises:
        SystemExit: there is no such device.
    """
    if plan.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(
            f"gpu: no CUDA device is to be seen (torch {torch.__version__}); --device cpu --quick tries it"
        )
    folder = OUT if plan.out is None else plan.out
    folder.mkdir(parents=True, exist_ok=True)
    file, ends = folder / RESULTS, time.monotonic() + (LIMIT if plan.limit is None else plan.limit)
    here = {**machine(), "device": _device(plan.device)}
    file.write_text(json.dumps({"part": "machine", **here}) + "\n")
    for name, (seconds, _) in PARTS.items():
        began = time.monotonic()
        allowed = min(seconds, ends - began)
        ended = _part(name, plan, file, allowed) if allowed > 0 else "no time was left"
        if ended:
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"part": name, "cut": ended}) + "\n")
        plan.say(f"{name}: {ended or 'done'} ({time.monotonic() - began:.0f} s)")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    table = summary(rows[1:], plan)
    with (folder / SUMMARY).open("w", encoding="utf-8") as out:
        Console(file=out, width=140).print(table)
    return Report(table, {"machine": here, "rows": rows[1:]})


def _part(name: str, plan: Plan, file: Path, seconds: float) -> str:
    """Runs a part; why it did not come to its end, empty if it did."""
    command = [sys.executable, "-m", "bench.gpu_parts", name, "--device", plan.device, "--out", str(file)]
    command += ["--quick"] if plan.quick else []
    command += ["--threads", str(plan.threads)] if plan.threads else []
    try:
        done = subprocess.run(
            command, timeout=seconds, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True
        )
    except subprocess.TimeoutExpired:
        return f"cut after {seconds:.0f} s"
    last = done.stderr.strip().splitlines()[-1:] or [""]
    return "" if done.returncode == 0 else f"ended with {done.returncode}: {last[0][:200]}"


def _device(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


def summary(rows: Sequence[Row], plan: Plan) -> Table:
    """A line for every row that was measured, failed or was left out; parity in two lines."""
    title = f"One device: {_device(plan.device)}{', toy sizes: the numbers mean nothing' if plan.quick else ''}"
    table = Table("part", "what", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("seconds", "plain ÷ it", "peak MiB", "held MiB", "said"):
        table.add_column(column, justify="left" if column == "said" else "right")
    for line in [*_parity_lines([r for r in rows if r["part"] == "parity"]), *_lines(rows)]:
        table.add_row(*line)
    return table


def _parity_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for precision in ("float32", "bfloat16"):
        mine = [r for r in rows if r.get("precision") == precision]
        if mine:
            worst = max(mine, key=lambda r: r["gradient_error"])
            unequal = [r["method"] for r in mine if not r["equal"]]
            said = f"{len(mine) - len(unequal)} of {len(mine)} objectives equal; "
            said += f"gradient off by {worst['gradient_error']:.1e} at most ({worst['method']})"
            said += f"; unequal: {', '.join(unequal)}" if unequal else ""
            found.append(("parity", precision, "", "", "", "", said))
    return found


def _lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    plain = {_what(r): r["seconds"] for r in rows if r.get("arm") == "plain" and "seconds" in r}
    found: list[tuple[str, ...]] = []
    for row in rows:
        if row["part"] == "parity" and "precision" in row:
            continue
        said = next((f"{key}: {row[key]}" for key in ("failed", "skipped", "cut") if key in row), "")
        name = " ".join(str(row[key]) for key in ("method", "arm", "answers") if key in row)
        seconds = row.get("seconds", row.get("ours_seconds", row.get("importance_seconds")))
        ratio = plain[_what(row)] / row["seconds"] if "seconds" in row and _what(row) in plain else None
        if "passes_seconds" in row:
            ratio = row["passes_seconds"] / row["ours_seconds"]
            said = f"same answers {row['same_answers']:.0%}"
        if "decomposition_seconds" in row:
            said = f"then {row['decomposition_seconds']:.1f} s of decompositions"
        found.append(
            (
                row["part"],
                name,
                "" if seconds is None else f"{seconds:.3f}",
                "" if ratio is None else f"{ratio:.2f}",
                mib(row["peak_mib"]) if "peak_mib" in row else "",
                mib(row["held_mib"]) if "held_mib" in row else "",
                said,
            )
        )
    return found


def _what(row: Row) -> tuple[Any, ...]:
    return row["part"], row.get("method")
