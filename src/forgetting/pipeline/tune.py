"""One setting chosen among a few by a stated rule, with the same budget for every method that is compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from forgetting.pipeline.results import Candidate, Selection, add_selection
from forgetting.pipeline.run import run
from forgetting.pipeline.voice import SILENT, Voice
from forgetting.recipe import Recipe
from forgetting.report.build import build_report

RULE = (
    "The highest balance after the last stage: the harmonic mean of how far the forget set came towards the oracle, "
    "and of what was kept of the retained facts and of general skill."
)


def tune(recipe: Recipe, rates: Sequence[float], *, voice: Voice = SILENT) -> Path:
    """Runs the recipe once per learning rate of its last stage and returns the folder of the best by balance.

    Each run is a run of its own (`NAME-lr1e-04`), so an interrupted choice goes on where it was.
    """
    folders = {rate: run(_with_rate(recipe, rate), voice=voice, report=False) for rate in rates}
    scores = {rate: final_balance(folder) for rate, folder in folders.items()}
    best = max(rates, key=lambda rate: -1.0 if scores[rate] is None else scores[rate])  # type: ignore[arg-type, return-value]
    candidates = tuple(
        Candidate(f"learning rate {rate:g}", scores[rate], rate == best, _note(folders[rate])) for rate in rates
    )
    steps = json.loads((folders[best] / "results.json").read_text())["cost"]["steps"]
    selection = Selection(RULE, f"{len(rates)} learning rates, {steps} steps each", candidates)
    add_selection(folders[best], selection)
    build_report([folders[best]], folders[best] / "report.html")
    return folders[best]


def _with_rate(recipe: Recipe, rate: float) -> Recipe:
    stages = [*recipe.stages[:-1], recipe.stages[-1].model_copy(update={"learning_rate": rate})]
    return recipe.model_copy(update={"name": f"{recipe.name}-lr{rate:.0e}", "stages": stages})


def final_balance(folder: Path) -> float | None:
    """The balance of a finished run after its last stage."""
    results = json.loads((folder / "results.json").read_text())
    after = [e for e in results["evaluations"] if e["point"] == "after"][-1]
    return next((m["value"] for m in after["measures"] if m["name"] == "balance"), None)


def _note(folder: Path) -> str:
    status: str = json.loads((folder / "results.json").read_text())["status"]
    return "" if status == "complete" else status
