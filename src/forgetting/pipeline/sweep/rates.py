"""Chooses one of a few settings by a fixed rule, with the same budget for every method that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.audit.whole import run
from forgetting.recipe import Recipe
from forgetting.report.run.page import build_report
from forgetting.runs.folder import RunFolder
from forgetting.runs.results import Candidate, Results, Selection

RULE = (
    "The highest balance after the last stage: the harmonic mean of how far the forget set came towards the oracle, "
    "and of what was kept of the retained facts and of general skill."
)


def best_rate(recipe: Recipe, rates: Sequence[float], *, voice: Voice = SILENT) -> Path:
    """Runs the recipe once per learning rate of its last stage and returns the folder of the best by balance.

    Each candidate is a separate run (`NAME-lr1e-04`), so an interrupted choice can be resumed.
    """
    runs = {rate: Results.load(run(_with_rate(recipe, rate), voice=voice, report=False)) for rate in rates}
    scores = {rate: _final_balance(results) for rate, results in runs.items()}
    best = max(rates, key=lambda rate: -1.0 if scores[rate] is None else scores[rate])  # type: ignore[arg-type, return-value]
    candidates = tuple(
        Candidate(label=f"learning rate {rate:g}", score=scores[rate], chosen=rate == best, note=_note(runs[rate]))
        for rate in rates
    )
    budget = f"{len(rates)} learning rates, {runs[best].cost.steps} steps each"
    folder = RunFolder(runs[best].folder)
    selection = Selection(rule=RULE, candidates=candidates, budget=budget)
    folder.write_results(replace(folder.results(), selection=selection))
    build_report([folder.path], folder.report_file)
    return folder.path


def _with_rate(recipe: Recipe, rate: float) -> Recipe:
    short = f"{rate:.0e}"
    name = short if float(short) == rate else f"{rate:g}"
    last = recipe.stages[-1].name
    return recipe.with_values({"name": f"{recipe.name}-lr{name}", "stages": {last: {"learning_rate": rate}}})


def _final_balance(results: Results) -> float | None:
    """Its measures after the last stage."""
    found = results.after.measure("all/balance") if results.after else None
    return found.value if found else None


def _note(results: Results) -> str:
    return "" if results.status == "complete" else results.status
