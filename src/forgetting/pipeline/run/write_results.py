"""results.json: everything that a report needs to know of a run, gathered from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forgetting.benchmarks.suite import Suite
from forgetting.core.folder import write_text
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.stage import adapter_words
from forgetting.recipe import Recipe, Stage
from forgetting.runs.redact import Redactor
from forgetting.runs.results import FORMAT, Selection
from forgetting.training.flops import run_flops


def write_results(
    folder: Path,
    recipe: Recipe,
    data: Mapping[str, StageData],
    suite: Suite,
    *,
    oracle: str | None,
    redactor: Redactor | None = None,
) -> None:
    """Writes results.json from what the stages and evaluations left in the folder."""
    stages = [_stage(folder, stage) for stage in recipe.stages]
    evaluations = _evaluations(folder, recipe)
    results = {
        "format": FORMAT,
        "name": recipe.name,
        "status": "collapsed" if any(s["stopped"] == "collapse" for s in stages) else "complete",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "question": recipe.question,
        "model": recipe.model,
        "oracle": oracle,
        "suite": suite.name,
        "declaration": asdict(suite.declares),
        "recipe": recipe.model_dump(mode="json"),
        "recipe_yaml": recipe.to_yaml(),
        "environment": json.loads((folder / "environment.json").read_text()),
        "redacted": redactor is not None,
        "data": _data(data, redactor),
        "corpus": next((d.corpus.to_json() for d in data.values() if d.corpus is not None), None),
        "evaluations": evaluations,
        "stages": stages,
        "cost": _cost(folder, recipe, stages, evaluations),
        "selection": None,
    }
    write_text(folder / "results.json", json.dumps(results, indent=1, ensure_ascii=False))


def _data(data: Mapping[str, StageData], redactor: Redactor | None) -> dict[str, Any]:
    """By role; where stages differ, by role and stage."""
    summaries = {stage: d.summary() for stage, d in data.items()}
    if redactor is not None:
        for said in (said for summary in summaries.values() for said in summary.values()):
            said["sha256"] = redactor.hash("data", str(said["sha256"]))
    found: dict[str, Any] = {}
    for stage, summary in summaries.items():
        for role, said in summary.items():
            differ = any(other.get(role, said) != said for other in summaries.values())
            found[f"{role} ({stage})" if differ else role] = said
    return found


def add_selection(folder: Path, selection: Selection) -> None:
    """Writes into a finished run how it was chosen among others."""
    file = folder / "results.json"
    results = {**json.loads(file.read_text()), "selection": asdict(selection)}
    write_text(file, json.dumps(results, indent=1, ensure_ascii=False))


def _stage(folder: Path, stage: Stage) -> dict[str, Any]:
    own = folder / "stages" / stage.name
    result = json.loads((own / "result.json").read_text())
    thresholds, scored = own / "thresholds.json", own / "scored.json"
    if stage.trains:
        how = {"adapter": adapter_words(stage.adapter_or_full), "learning_rate": stage.learning_rate}
    else:
        how = {"transform": stage.transform, "adapter": "", "learning_rate": None}
    return {
        "name": stage.name,
        "method": stage.what,
        **how,
        **{k: result[k] for k in ("steps", "epochs", "stopped", "success", "message", "kept")},
        "thresholds": json.loads(thresholds.read_text()) if thresholds.is_file() else None,
        **{k: result[k] for k in ("supervised_tokens", "train_seconds", "trainable", "of", "peak_memory_bytes")},
        "flops": result.get("flops"),
        "scoring_seconds": json.loads(scored.read_text())["seconds"] if scored.is_file() else None,
    }


def _evaluations(folder: Path, recipe: Recipe) -> list[dict[str, Any]]:
    order = {stage.name: i for i, stage in enumerate(recipe.stages)}
    ranks = {"before": 0, "oracle": 1, "epoch": 2, "after": 3}
    found = [json.loads(file.read_text()) for file in sorted((folder / "evaluations").glob("*.json"))]
    return sorted(found, key=lambda e: (order.get(e["stage"], -1), ranks[e["point"]], e["step"]))


def _cost(
    folder: Path, recipe: Recipe, stages: list[dict[str, Any]], evaluations: list[dict[str, Any]]
) -> dict[str, Any]:
    """Sums over the stages, whatever interruptions there were.

    Preparing is what initialisations compute, stored references, token scores and transforms.
    """
    prepared = [json.loads((folder / "stages" / s.name / "prepared.json").read_text()) for s in recipe.stages]
    preparing = sum(p["seconds"] for p in prepared) + sum(s["scoring_seconds"] or 0.0 for s in stages)
    training = sum(s["train_seconds"] for s in stages)
    measuring = sum(e["seconds"] for e in evaluations)
    return {
        "seconds": preparing + training + measuring,
        "prepare_seconds": preparing,
        "train_seconds": training,
        "evaluation_seconds": measuring,
        "peak_memory_bytes": max(s["peak_memory_bytes"] for s in stages),
        "trainable_parameters": stages[-1]["trainable"],
        "total_parameters": stages[-1]["of"],
        "steps": sum(s["steps"] for s in stages),
        "supervised_tokens": sum(s["supervised_tokens"] for s in stages),
        "flops": run_flops(stages, [(e["stage"], e.get("work")) for e in evaluations if e["stage"]]),
    }
