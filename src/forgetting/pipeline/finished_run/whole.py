"""A run with the analyses that its recipe asks for."""

from __future__ import annotations

from pathlib import Path

from forgetting.analysis import ANALYSES
from forgetting.core.errors import redacted
from forgetting.core.processes import is_first
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.finished_run.analyse import analyse, check_analyses
from forgetting.pipeline.finished_run.plugged import chosen
from forgetting.pipeline.run.judge import Judge
from forgetting.pipeline.run.run import run as run_stages
from forgetting.recipe import Recipe
from forgetting.report.run.page import build_report
from forgetting.runs.folder import RunFolder


def run(recipe: Recipe, *, voice: Voice = SILENT, report: bool = True, judge: Judge | None = None) -> Path:
    """Runs a recipe (see `pipeline.run.run.run`), then what it analyses; both resume.

    Of several processes the first one analyses. A run that was pruned or purged is not analysed.

    Raises:
        ForgettingError: what a run or an analysis raises; an unknown analysis or parameter, and one that does not fit
            the model, are refused before the run.
    """
    asked = chosen(ANALYSES, list(recipe.analyse), recipe.analyse) if recipe.analyse else []
    folder = run_stages(
        recipe, voice=voice, report=report, judge=judge, check=lambda ready: check_analyses(asked, ready.loaded.model)
    )
    done = RunFolder(folder)
    if not (recipe.analyse and is_first() and done.is_finished and not done.results().purged):
        return folder
    known = _files(done)
    with redacted(recipe.redact):
        analyse(folder, of=list(recipe.analyse), settings=recipe.analyse, voice=voice)
    if report and _files(done) != known:
        build_report([folder], done.report_file)
    return folder


def _files(folder: RunFolder) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.analyses_folder.glob("*.json")}
