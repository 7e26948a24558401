"""Runs a recipe into a run folder, stage by stage; resumable."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from forgetting.core.errors import DataError, RunError, redacted
from forgetting.core.locks import LOCK
from forgetting.core.processes import by_first, is_first, together
from forgetting.core.progress import SILENT, Voice
from forgetting.data.formatting import writes_date
from forgetting.models.quantised import quantised_words
from forgetting.pipeline.run.environment import environment
from forgetting.pipeline.run.evaluator import Measurer
from forgetting.pipeline.run.judge import Judge, PrunedError
from forgetting.pipeline.run.load import device_of
from forgetting.pipeline.run.prepare import load_data
from forgetting.pipeline.run.prepared import Prepared, check_recipe, digests_of, prepared
from forgetting.pipeline.run.records import cached, of_oracle
from forgetting.pipeline.run.sound import keep_sound
from forgetting.pipeline.run.source import start_of
from forgetting.pipeline.run.stage_runner import StageRunner
from forgetting.pipeline.run.tracking import tracking
from forgetting.pipeline.run.write_results import begun, write_results
from forgetting.recipe import Recipe
from forgetting.report.run.page import build_report
from forgetting.runs.began import DAY, START
from forgetting.runs.folder import RunFolder
from forgetting.runs.same_run import check_data


@together()
def run(
    recipe: Recipe,
    *,
    voice: Voice = SILENT,
    report: bool = True,
    judge: Judge | None = None,
    check: Callable[[Prepared], object] = lambda ready: None,
) -> Path:
    """Runs a recipe and returns its folder: model, records, `results.json`, `report.html`.

    An existing folder with the same recipe is resumed; a finished one is unchanged. Several processes (`torchrun`,
    `accelerate launch`) that all call this run it together; the first writes and reports progress.

    Args:
        recipe: what to run.
        voice: receives progress.
        report: whether to write the report.
        judge: may end the run at an evaluation in the middle of its last stage. The folder then says why, and has
            neither results nor a final model.
        check: is given what was prepared, before anything is written; it may raise an error.

    Raises:
        ForgettingError: bad input, or a folder with another recipe or other data. Nothing is written before recipe,
            data, model and adapters are checked; an oracle that cannot be loaded leaves a folder that a corrected
            recipe can reuse.
    """
    with redacted(recipe.redact):
        return _run(recipe, voice if is_first() else SILENT, report, judge, check)


def _run(recipe: Recipe, voice: Voice, report: bool, judge: Judge | None, check: Callable[[Prepared], object]) -> Path:
    folder = RunFolder(recipe.folder)
    check_recipe(recipe)
    if folder.is_finished:
        _say_finished(folder, recipe, voice)
        if is_first():
            _end(folder, report=report)
        return folder.path
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    ready = prepared(recipe, voice)
    check(ready)
    ran_on = environment(device_of(ready.recipe), ready.recipe.dtype)
    ran_on[START] = start_of(recipe.model)
    if (day := ready.recipe.format.date) is not None:
        ran_on[DAY] = str(day)
    if writes_date(ready.recipe.format, ready.loaded.tokenizer):
        voice.say(f"the chat template of {recipe.model} writes a date: {day}, here and when the run is resumed")
    with folder.opened(recipe.to_yaml(), ready.digests, ran_on, redact=recipe.redact) as opened:
        voice.say(f"run {recipe.name}")
        by_first(lambda: keep_sound(opened, recipe, voice))
        if (shots := ready.recipe.format.shots) is not None:
            opened.write_shots(shots.examples or ())
        by_first(lambda: opened.write_begun(begun(opened, ready)))
        opened.write_skipped(next(iter(ready.data.values())).skipped)
        if recipe.quantise:
            voice.say(quantised_words(ready.loaded.model))
        before = cached(ready.loaded.model, ready.loaded.tokenizer, ready.suite, ready.recipe, voice)
        oracle = of_oracle(ready.recipe, ready.suite, voice)
        measurer = Measurer(opened, ready, voice, before=before, oracle=oracle)
        measurer.fixed_points()
        with tracking(recipe) as track:
            track.begun(opened)
            try:
                StageRunner(ready, opened, measurer, voice, judge, track).run()
            except PrunedError as pruned:
                voice.say(str(pruned))
                opened.write_pruned(str(pruned))
                return folder.path
            by_first(lambda: write_results(opened, ready))
            if report:
                by_first(lambda: build_report([folder.path], folder.report_file))
                track.report(folder.results(), folder.report_file)
    return folder.path


def _end(folder: RunFolder, *, report: bool) -> None:
    """Ends what a process was killed at after it had written the results: the report, and its lock."""
    if report and not folder.report_file.is_file():
        with folder.held():
            build_report([folder.path], folder.report_file)
    elif (folder.path / LOCK).exists():
        with suppress(RunError), folder.held():
            pass


def _say_finished(folder: RunFolder, recipe: Recipe, voice: Voice) -> None:
    with suppress(DataError):  # a finished run can be read without its data
        check_data(folder, digests_of(load_data(recipe, SILENT)))
    purged = folder.results().purged
    state = f"purged on {purged[:10]}, model and numbers are kept" if purged else "already finished"
    voice.say(f"{folder.path}: {state}; remove the folder to run it again")
