"""Analyses the changes between the models of a finished run; resumable by analysis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from forgetting.analysis import ANALYSES, Compared, Findings
from forgetting.core.digest import digest, examples_digest, file_digest
from forgetting.core.errors import ModelError, RunError
from forgetting.core.progress import SILENT, Voice
from forgetting.models.unchanged import Snapshot
from forgetting.models.view import View
from forgetting.pipeline.finished_run.examples import FACTS, data_of, examples_of
from forgetting.pipeline.finished_run.models import models_of, oracle_of, other_model, recipe_of
from forgetting.pipeline.finished_run.plugged import Chosen, chosen, watched
from forgetting.runs.audits import Analysed
from forgetting.runs.folder import RunFolder
from forgetting.token_selection.model_view import ModelView


def analyse(
    folder: Path,
    *,
    of: Sequence[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    against: str = "before",
    oracle: str | None = None,
    facts: int = FACTS,
    voice: Voice = SILENT,
) -> list[Analysed]:
    """Runs each analysis on the models before and after the run, and returns the results.

    `analyses/NAME.json` is written after each (`NAME+oracle.json` relative to the oracle, and so on); results for the
    same models, examples and parameters are not computed again. It holds numbers, and no texts if the run is redacted.

    Args:
        folder: a finished run's.
        of: names of analyses; empty: all that the models allow, and it is said which are left out.
        settings: parameters by the analysis' name.
        against: the model that changes are relative to: `before`, `oracle`, `stage:NAME` (the model after that stage),
            or another model by run, folder or hub id.
        oracle: a model that never saw the forget set; None: the run's own, if it has one. Analyses that read each model
            by itself (lens, probe) read it too.
        facts: maximum number of forget examples.
        voice: receives progress and notes.

    Raises:
        RecipeError: an unknown analysis, or a parameter that it does not take.
        RunError: no finished run, changed data, no oracle where one is needed or one where none is, a stage or another
            model that is not there or reads other tokens, or an analysis that fails or changes a model.
        DataError: data that cannot be read.
    """
    recipe = recipe_of(folder)
    with RunFolder(folder).quiet():
        asked = chosen(ANALYSES, of, settings or {})
        data = data_of(folder, recipe)
        examples = examples_of(recipe, data, facts=facts)
        name = oracle or oracle_of(recipe, data, voice)
        if against == "oracle" and name is None:
            raise RunError(
                f"{folder}: the run has no oracle; name a model with --oracle, or compare with the one before"
            )
        with RunFolder(folder).held():
            models = {model.point: model for model in models_of(folder, recipe, oracle=name, voice=voice)}
            label = against
            if against not in ("before", "oracle"):
                label, other = other_model(folder, recipe, against, voice)
                if other.tokenizer.get_vocab() != models["after"].tokenizer.get_vocab():
                    raise RunError(f"{against}: its tokenizer is another one; its numbers cannot be compared")
                models["other"] = other
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
            views = {point: model.view for point, model in models.items()}
            whom = [(point, _fingerprint(view)) for point, view in views.items()]
            shown = [(role, examples_digest(members)) for role, members in examples.items()]
            snapshots: list[Snapshot] = []
            found = []
            for one in asked:
                try:
                    found.append(_analysed(one, compared, views, (whom, shown), RunFolder(folder), snapshots))
                except ModelError as error:
                    if of:
                        raise
                    voice.say(f"{one.name}: left out, since this model does not allow it: {error}")
            return found


def _analysed(
    one: Chosen[Any],
    compared: Compared,
    views: Mapping[str, View],
    what: object,
    folder: RunFolder,
    snapshots: list[Snapshot],
) -> Analysed:
    """One analysis, as it is written or newly computed; `what` identifies models and examples."""
    against, run = compared.against, folder.hiding()
    parameters = [*sorted(one.parameters.items()), *_contents(one.parameters)]
    key = run.keyed("analysis", digest(what, against, one.name, one.source, parameters, compared.formatting))
    file = run.analysis_file(one.name, against)
    there = Analysed.load(file)
    if there is not None and there.key == key:
        compared.voice.say(f"{one.name}: already finished")
        return there
    compared.voice.say(f"{one.name}: comparing the model after with the one {against}")
    began = time.perf_counter()
    models = {point: view.model for point, view in views.items()}
    findings = watched(one, models, partial(one.call, compared), snapshots)
    if not isinstance(findings, Findings):
        raise RunError(f"the {one} returned a {type(findings).__name__}, not findings; fix it, or leave it out")
    found = Analysed(
        analysis=one.name,
        key=key,
        source=one.source,
        parameters=one.parameters,
        against=against,
        measures=findings.measures,
        series=findings.series,
        texts=findings.texts if run.redactor is None else {},
        seconds=time.perf_counter() - began,
    )
    found.save(file)
    return found


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
