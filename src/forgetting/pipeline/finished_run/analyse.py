"""Analyses the changes between the models of a finished run; resumable by analysis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from forgetting.analysis import ANALYSES, Compared, Findings
from forgetting.core.digest import digest, examples_digest, file_digest
from forgetting.core.errors import ForgettingError, ModelError, RunError
from forgetting.core.progress import SILENT, Voice
from forgetting.models.unchanged import Snapshot
from forgetting.models.view import View
from forgetting.pipeline.finished_run.analysis_cost import Expected, expected_costs, said
from forgetting.pipeline.finished_run.examples import FACTS, data_of, examples_of
from forgetting.pipeline.finished_run.models import (
    STAGE,
    RunModel,
    models_at,
    models_of,
    oracle_of,
    other_model,
    recipe_of,
)
from forgetting.pipeline.finished_run.plugged import Chosen, chosen, watched
from forgetting.recipe import Recipe
from forgetting.runs.audits import AFTER, Analysed
from forgetting.runs.folder import RunFolder
from forgetting.token_selection.model_view import ModelView


def analyse(
    folder: Path,
    *,
    of: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    at: str = AFTER,
    against: str = "before",
    oracle: str | None = None,
    facts: int = FACTS,
    voice: Voice = SILENT,
) -> list[Analysed]:
    """Runs each analysis on the models before and after the run, and returns the results.

    `analyses/NAME.json` is written after each (`NAME+oracle.json` relative to the oracle, `NAME@stage-unlearn.json` of
    the model after that stage); results for the same models, examples and parameters are not computed again. It holds
    numbers, and no texts if the run is redacted.

    Args:
        folder: a finished run's.
        of: names of analyses; empty: all that the models allow, and it is said which are left out.
        settings: parameters by the analysis' name.
        at: the model that changed: `after` the run, or `stage:NAME`, the one after that stage.
        against: the model that changes are relative to: `before`, `oracle`, `stage:NAME` (the model after that stage),
            or another model by run, folder or hub id.
        oracle: a model that never saw the forget set; None: the run's own, if it has one. Analyses that read each model
            by itself (lens, probe) read it too; it is not loaded where none does.
        facts: maximum number of forget examples.
        voice: receives progress and notes.

    Raises:
        RecipeError: an unknown analysis, or a parameter that it does not take.
        RunError: no finished run, changed data, no oracle where one is needed or one where none is, a stage or another
            model that is not there or reads other tokens, or an analysis that fails or changes a model.
        DataError: data that cannot be read.
    """
    recipe = recipe_of(folder)
    stage = _stage(at, against, recipe)
    with RunFolder(folder).quiet():
        asked = chosen(ANALYSES, of, settings or {})
        data = data_of(folder, recipe)
        examples = examples_of(recipe, data, facts=facts)
        name = oracle or oracle_of(recipe, data, voice)
        if against == "oracle" and name is None:
            raise RunError(
                f"{folder}: the run has no oracle; name a model with --oracle, or compare with the one before"
            )
        if against != "oracle" and not any(reads_oracle(one) for one in asked):
            name = None
        with RunFolder(folder).held():
            label, models = _models(folder, recipe, stage, against, oracle=name, voice=voice)
            compared = Compared(
                before=models["before"].view,
                after=models["after"].view,
                oracle=models["oracle"].view if "oracle" in models else None,
                tokenizer=models["after"].tokenizer,
                examples=examples,
                against=label,
                other=models["other"].view if "other" in models else None,
                formatting=recipe.format,
                voice=voice,
            )
            views = {point: one.view for point, one in models.items()}
            named = AFTER if stage is None else f"stage-{stage}"
            return _each(asked, compared, views, RunFolder(folder), of, named)


def _stage(at: str, against: str, recipe: Recipe) -> str | None:
    """The stage after which the model is looked at; None: the last.

    Raises:
        RunError: no model is named so, or changes would be counted from the model itself.
    """
    if at != AFTER and not at.startswith(STAGE):
        raise RunError(f"{at}: is not a model of the run; write {AFTER}, or {STAGE}NAME for the one after a stage")
    if at == against:
        raise RunError(f"{at}: changes are counted from the model itself; name another one")
    stage = at.removeprefix(STAGE)
    return None if at == AFTER or stage == recipe.stages[-1].name else stage


def _models(
    folder: Path, recipe: Recipe, stage: str | None, against: str, *, oracle: str | None, voice: Voice
) -> tuple[str, dict[str, RunModel]]:
    """What the model that changes are counted from is called, and the models by point; `other` is one that is named.

    Raises:
        RunError: that model is not there, or reads other tokens.
    """
    if stage is None:
        models = {model.point: model for model in models_of(folder, recipe, oracle=oracle, voice=voice)}
    else:
        models = models_at(folder, recipe, stage, oracle=oracle, voice=voice)
    if against in ("before", "oracle"):
        return against, models
    label, other = other_model(folder, recipe, against, voice)
    if other.tokenizer.get_vocab() != models["after"].tokenizer.get_vocab():
        raise RunError(f"{against}: its tokenizer is another one; its numbers cannot be compared")
    return label, {**models, "other": other}


def check_analyses(asked: Sequence[Chosen[Any]], model: nn.Module) -> None:
    """Checks that parameters of analyses fit the model and name what is there.

    Raises:
        ForgettingError: one does not.
    """
    for one in asked:
        ANALYSES.get(one.name).settings.get("check", _fits)(model, one.parameters)


def _fits(model: nn.Module, parameters: Mapping[str, Any]) -> None:
    pass


def _each(
    asked: Sequence[Chosen[Any]],
    compared: Compared,
    views: Mapping[str, View],
    folder: RunFolder,
    named: Sequence[str],
    at: str,
) -> list[Analysed]:
    """Each analysis, as it is written or newly computed; it is said before what they will take."""
    prints = {point: _fingerprint(view) for point, view in views.items()}
    shown = [(role, examples_digest(members)) for role, members in compared.examples.items()]
    jobs: list[_Job] = []
    for one in asked:
        read = [(p, print_) for p, print_ in prints.items() if p != "oracle" or reads_oracle(one, compared.against)]
        jobs.append(_job(one, compared, (read, shown), folder.hiding(), at))
    models = {point: view.model for point, view in views.items()}
    costs = _costs([job.one for job in jobs if not job.is_done], compared)
    snapshots: list[Snapshot] = []
    found = []
    for job in jobs:
        try:
            found.append(_analysed(job, compared, models, folder.hiding(), snapshots, costs.get(job.one.name)))
        except ModelError as error:
            if named:
                raise
            compared.voice.say(f"{job.one.name}: left out, since this model does not allow it: {error}")
    return found


@dataclass(frozen=True)
class _Job:
    one: Chosen[Any]
    key: str
    file: Path
    there: Analysed | None
    """What the file holds, if there is one."""
    at: str

    @property
    def is_done(self) -> bool:
        return self.there is not None and self.there.key == self.key


def _job(one: Chosen[Any], compared: Compared, what: object, run: RunFolder, at: str) -> _Job:
    """An analysis and its file; `what` identifies models and examples."""
    against, parameters = compared.against, [*sorted(one.parameters.items()), *_contents(one.parameters)]
    key = run.keyed("analysis", digest(what, against, one.name, one.source, parameters, compared.formatting))
    file = run.analysis_file(one.name, against, at)
    return _Job(one, key, file, Analysed.load(file), at)


def _costs(asked: Sequence[Chosen[Any]], compared: Compared) -> dict[str, Expected]:
    """What they will take, which is said; of a model that cannot be timed, nothing."""
    if not asked:
        return {}
    try:
        costs = expected_costs(asked, compared)
    except ForgettingError as error:
        compared.voice.say(f"what the analyses will take is not known: {error}")
        return {}
    for line in said(costs):
        compared.voice.say(line)
    return costs


def _analysed(
    job: _Job,
    compared: Compared,
    models: Mapping[str, nn.Module],
    run: RunFolder,
    snapshots: list[Snapshot],
    cost: Expected | None,
) -> Analysed:
    one = job.one
    if job.there is not None and job.is_done:
        compared.voice.say(f"{one.name}: already finished")
        return job.there
    about = "" if cost is None else f" (about {cost})"
    model = job.at if job.at == AFTER else f"at {job.at}"
    compared.voice.say(f"{one.name}: comparing the model {model} with the one {compared.against}{about}")
    began = time.perf_counter()
    findings = watched(one, models, partial(one.call, compared), snapshots)
    if not isinstance(findings, Findings):
        raise RunError(f"the {one} returned a {type(findings).__name__}, not findings; fix it, or leave it out")
    found = Analysed(
        analysis=one.name,
        key=job.key,
        source=one.source,
        parameters=one.parameters,
        against=compared.against,
        at=job.at,
        measures=findings.measures,
        series=findings.series,
        grids=findings.grids,
        texts=findings.texts if run.redactor is None else {},
        seconds=time.perf_counter() - began,
    )
    found.save(job.file)
    return found


def reads_oracle(one: Chosen[Any], against: str = "") -> bool:
    """Whether an analysis reads the oracle, where there is one."""
    return against == "oracle" or bool(ANALYSES.get(one.name).settings.get("oracle", True))


def _contents(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of each parameter that names a file or a folder, the digests of what is there: it may be another one later."""
    found = []
    for key, value in sorted(parameters.items()):
        if isinstance(value, str) and value:
            path = Path(value)
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            found += [(f"{key}: {file.name}", file_digest(file)) for file in files if file.is_file()]
    return found


def _fingerprint(view: View) -> str:
    return ModelView(view.model, view.adapters).fingerprint()
