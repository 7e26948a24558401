"""Measures a model as it is into a folder that is read like a run's (`forget eval --out`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from forgetting.core.digest import file_digest
from forgetting.core.errors import RunError, redacted
from forgetting.core.processes import by_first, is_first, on_first, together
from forgetting.core.progress import SILENT, Voice
from forgetting.pipeline.one_model.evaluate import Ready, ready_to_measure
from forgetting.pipeline.one_model.settings import as_settings, rewritten, setting_values
from forgetting.pipeline.run.environment import environment, peak_memory, reset_peak_memory
from forgetting.pipeline.run.judged import judged
from forgetting.pipeline.run.load import device_of
from forgetting.pipeline.run.prepared import digests_of, model_digests
from forgetting.pipeline.run.prompt import rendered_prompt
from forgetting.pipeline.run.records import Taken, cached, of_oracle, read_digests
from forgetting.pipeline.run.shots import as_asked
from forgetting.recipe import Recipe
from forgetting.report.run.page import build_report
from forgetting.runs.began import DAY, READ
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.evaluation_folder import EvaluationFolder
from forgetting.runs.results import Cost, Results
from forgetting.runs.same_run import check_data


@together()
def evaluate_into(out: Path, recipe: Recipe, *, voice: Voice = SILENT) -> Results:
    """Measures a model and writes `results.json`, records and `report.html`; returns the results.

    What `forget report` and `forget compare` read of a run is written, and no more. Started again after it was killed,
    it goes on behind the splits that are measured; finished, it changes nothing, and is checked to be of these data
    and weights. With `redact`, no text is written but that of shots, which are of no forget set.

    Args:
        out: a new folder, or one of the same evaluation.
        recipe: see `forgetting.pipeline.one_model.evaluate.measuring`.

    Raises:
        ForgettingError: bad input, or a folder that holds something else.
    """
    voice = voice if is_first() else SILENT
    folder, settings = EvaluationFolder(out), as_settings(recipe)
    folder.check_takes(settings, rewritten)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    with redacted(recipe.redact):
        recipe = recipe.with_values({"output": str(out)})  # for its caches, until the end
        ready = ready_to_measure(recipe, voice)
        digests = _digests(ready)
        check_data(folder, digests)
        if folder.is_finished:
            voice.say(f"{out}: already finished; remove the folder to measure again")
            by_first(lambda: _end(folder))
            return folder.results()
        ran_on = environment(device_of(ready.recipe), ready.recipe.dtype)
        if (day := ready.recipe.format.date) is not None:
            ran_on[DAY] = str(day)
        with folder.opened(settings, digests, ran_on, redact=recipe.redact) as opened:
            assert isinstance(opened, EvaluationFolder), "it is the folder that was opened"
            _measure(opened, ready, settings, voice)
            by_first(lambda: build_report([out], folder.report_file))
            by_first(opened.remove_kept)
    return folder.results()


def _end(folder: EvaluationFolder) -> None:
    """Ends what a process was killed at after it had written the results: the report, the kept records, the lock."""
    if not folder.report_file.is_file():
        with folder.held():
            build_report([folder.path], folder.report_file)
            folder.remove_kept()
    elif folder.has_left_overs:
        with suppress(RunError), folder.held():
            folder.remove_kept()


def _digests(ready: Ready) -> dict[str, dict[str, str]]:
    loaded, suite = ready.loaded, ready.suite
    found = digests_of({"": ready.data}, suite, model_digests(loaded.model, loaded.tokenizer))
    return {**found, READ: read_digests(suite, loaded.tokenizer, ready.recipe.format)}


def _measure(folder: EvaluationFolder, ready: Ready, settings: str, voice: Voice) -> None:
    suite, shots = ready.suite, ready.recipe.format.shots
    if shots is not None:
        folder.write_shots(shots.examples or ())
    folder.write_skipped(ready.heard.skipped)
    reset_peak_memory()
    began = time.perf_counter()
    taken = _taken(ready, voice)
    seconds = time.perf_counter() - began
    oracle = of_oracle(ready.recipe, suite, voice)
    after = Evaluation(
        point="after",
        measures=(*taken.measures(suite, oracle), *on_first(lambda: judged(taken.records, ready.recipe, voice))),
        seconds=seconds,
        popularity=taken.by_popularity(suite, None),
    )
    found = [folder.evaluations.write(after, taken.records)]
    if oracle is not None:
        other = Evaluation(point="oracle", measures=tuple(oracle.measures(suite, oracle)))
        found.insert(0, folder.evaluations.write(other, oracle.records))
    folder.write_prompt(rendered_prompt(suite, ready.loaded.tokenizer, ready.recipe.format))
    by_first(lambda: folder.write_results(_results(folder, ready, settings, found)))


def _taken(ready: Ready, voice: Voice) -> Taken:
    """The model's results; each split is kept as soon as it is measured."""
    suite = ready.suite
    parts = [replace(suite, splits=(split,), probes=()) for split in suite.splits]
    if suite.probes:
        parts.append(replace(suite, splits=()))
    found = [cached(ready.loaded.model, ready.loaded.tokenizer, part, ready.recipe, voice) for part in parts]
    return Taken([r for part in found for r in part.records], [m for part in found for m in part.probed])


def _results(folder: EvaluationFolder, ready: Ready, settings: str, evaluations: Sequence[Evaluation]) -> Results:
    recipe, suite = as_asked(ready.recipe), ready.suite
    name = folder.path.resolve().name
    seconds = sum(e.seconds for e in evaluations)
    shipped = None if suite.oracle is None else f"{suite.oracle.name}, shipped with the suite"
    return Results(
        folder=folder.path,
        name=name,
        status="complete",
        evaluated=True,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        question=recipe.question,
        model=recipe.model,
        oracle=recipe.oracle or shipped,
        suite=suite.name,
        declaration=suite.declares,
        subsets=suite.subsets,
        recipe=setting_values(recipe),
        recipe_yaml=settings,
        recipe_sha256=file_digest(folder.settings_file),
        environment=folder.environment(),
        data=ready.data.summary(),
        evaluations=tuple(evaluations),
        cost=Cost(
            seconds=seconds,
            evaluation_seconds=seconds,
            peak_memory_bytes=peak_memory(),
            total_parameters=sum(p.numel() for p in ready.loaded.model.parameters()),
        ),
    )
