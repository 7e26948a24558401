"""A run with the analyses and audits that its recipe asks for."""

from __future__ import annotations

from pathlib import Path

from forgetting.analysis import ANALYSES
from forgetting.core.errors import redacted
from forgetting.core.processes import is_first
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.audit.audit import audit, chosen_attacks
from forgetting.pipeline.audit.certify import certify
from forgetting.pipeline.finished_run.analyse import analyse, check_analyses
from forgetting.pipeline.finished_run.plugged import chosen
from forgetting.pipeline.run.judge import Judge
from forgetting.pipeline.run.run import run as run_stages
from forgetting.recipe import Recipe
from forgetting.report.run.page import build_report
from forgetting.runs.folder import RunFolder


def run(recipe: Recipe, *, voice: Voice = SILENT, report: bool = True, judge: Judge | None = None) -> Path:
    """Runs a recipe (see `pipeline.run.run.run`), then what it analyses and audits; all three resume.

    Of several processes the first one analyses and audits, and certifies (`pipeline.audit.certify`). A run that was
    pruned or purged is neither.

    Raises:
        ForgettingError: what a run, an analysis or an attack raises; an unknown name or parameter, and one of an
            analysis that does not fit the model, is refused before the run.
    """
    analyses = chosen(ANALYSES, list(recipe.analyse), recipe.analyse) if recipe.analyse else []
    if recipe.audit:
        chosen_attacks(list(recipe.audit), _settings(recipe))
    folder = run_stages(
        recipe,
        voice=voice,
        report=report,
        judge=judge,
        check=lambda ready: check_analyses(analyses, ready.loaded.model),
    )
    done = RunFolder(folder)
    asked = recipe.analyse or recipe.audit
    if not (asked and is_first() and done.is_finished and not done.results().purged):
        return folder
    known = _files(done)
    with redacted(recipe.redact):
        if recipe.analyse:
            analyse(folder, of=list(recipe.analyse), settings=recipe.analyse, voice=voice)
        if recipe.audit:
            found = audit(folder, attacks=list(recipe.audit), settings=_settings(recipe), voice=voice)
            if found:
                certify(folder, found)
    if report and _files(done) != known:
        build_report([folder], done.report_file)
    return folder


def _settings(recipe: Recipe) -> dict[str, dict[str, object]]:
    return {name: parameters for name, parameters in recipe.audit.items() if parameters}


def _files(folder: RunFolder) -> dict[Path, int]:
    folders = (folder.analyses_folder, folder.audits_folder)
    return {file: file.stat().st_mtime_ns for one in folders for file in one.glob("*.json")}
