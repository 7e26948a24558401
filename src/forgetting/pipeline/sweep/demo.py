"""The demo: compares three methods, each tuned with the same small budget and rule, with an oracle."""

from __future__ import annotations

from pathlib import Path

from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.sweep.rates import best_rate
from forgetting.recipe import load_recipe
from forgetting.report.run.page import build_report
from forgetting.runs.sweep import SweepFolder

METHODS = ("graddiff", "npo", "loku")
RATES = (3e-5, 1e-4, 3e-4)
"""The same budget for every method: three learning rates, half a decade apart."""


def run_demo(output: Path, *, forget: str = "rare", threads: int | None = None, voice: Voice = SILENT) -> Path:
    """Runs the comparison below `output` and returns the report's path; resumable."""
    folder = output / f"demo-{forget}"
    chosen = []
    for method in METHODS:
        recipe = load_recipe("lab").with_values(
            {
                "name": method,
                "output": str(folder),
                "method": method,
                "data.forget": {"suite": f"lab:{forget}"},
                "data.retain": {"suite": f"lab:{forget}"},
                "evaluate": [f"lab:{forget}"],
                "question": _question(forget),
                "threads": threads,
            }
        )
        chosen.append(best_rate(recipe, RATES, voice=voice))
    paths = SweepFolder(folder)
    paths.write_chosen([path.name for path in chosen])
    return build_report(chosen, paths.report_file, title=f"Forgetting 78 {forget} facts")


def _question(forget: str) -> str:
    how = {"rare": "rarely", "popular": "often"}.get(forget, forget)
    return (
        f"Make the lab's model forget 78 facts about 13 people that its text mentions {how}, and keep everything else."
    )
