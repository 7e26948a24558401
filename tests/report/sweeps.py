"""Sweeps as the pipeline writes them, with made-up numbers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from forgetting.runs.sweep import SweepResults


def measure(key: str, value: float | None) -> dict[str, Any]:
    split, name = key.split("/")
    direction = "down" if split == "forget" else "up"
    reason = "not scored" if value is None else ""
    return {"split": split, "name": name, "value": value, "count": 10, "direction": direction, "reason": reason}


def run(method: str, seed: str, values: Mapping[str, float | None] | None = None, **more: Any) -> dict[str, Any]:
    measures = [measure(key, value) for key, value in (values or {}).items()]
    point = {"method": method, "seed": seed}
    return {"name": f"{method}-{seed}", "point": point, "status": "complete", "measures": measures, **more}


def sweep_dict(runs: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    axes = {axis: list(dict.fromkeys(r["point"][axis] for r in runs)) for axis in runs[0]["point"]}
    columns = list(dict.fromkeys(f"{m['split']}/{m['name']}" for r in runs for m in r["measures"]))
    return {
        "format": 1, "name": "matrix", "created": "2026-11-21T09:30:00+00:00", "file": {"recipe": "lab"},
        "axes": axes, "replicates": ["seed"], "columns": columns, "runs": list(runs), **more,
    }  # fmt: skip


def sweep_results(runs: Sequence[Mapping[str, Any]], **more: Any) -> SweepResults:
    return TypeAdapter(SweepResults).validate_python({**sweep_dict(runs, **more), "folder": Path("runs/matrix")})


def write_sweep(folder: Path, runs: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(sweep_dict(runs, **more)))
    return folder
