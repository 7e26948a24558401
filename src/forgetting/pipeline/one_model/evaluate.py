"""Evaluates a model on a suite without a run (`forget eval`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import RecipeError
from forgetting.core.folder import check_suffix, check_writable
from forgetting.core.measure import Measure
from forgetting.core.processes import is_first, on_first, together
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, write_records
from forgetting.data.reading import Heard
from forgetting.data.source import Source, given_source
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel
from forgetting.models.precision import Precision
from forgetting.pipeline.one_model.settings import settled
from forgetting.pipeline.run.load import load_measured
from forgetting.pipeline.run.own_data import VERBATIM
from forgetting.pipeline.run.prepare import StageData, ids_by_source, source_examples
from forgetting.pipeline.run.records import of_oracle, take
from forgetting.pipeline.run.shots import say_stops, with_shots
from forgetting.pipeline.run.suites import check_passages, say_drawn, suite_of
from forgetting.recipe import Recipe


@dataclass(frozen=True)
class Evaluated:
    """A model's records and measures."""

    suite: str
    records: list[Record]
    measures: list[Measure]
    precision: Precision
    """What the model was measured in."""


@together()
def evaluate(
    model: str,
    *,
    suite: str | None = None,
    data: Mapping[str, str | Source] | None = None,
    oracle: str | None = None,
    settings: Mapping[str, object] | None = None,
    records: Path | None = None,
    voice: Voice = SILENT,
) -> Evaluated:
    """Measures a model on a suite, or on files of the user's own by role, as a run does.

    If a run is named, its format, precision, length of answers and sample are used, so that its own numbers come back.

    Args:
        model: folder, hub id, run folder, the name of a suite's model, or a combination, which adds up logits:
            `lab + 0.5*runs/gd - 0.5*lab`. See `forgetting.models.expression`.
        suite: a suite's name; its shipped oracle is used unless `oracle` names another.
        data: files by role (`forget`, `retain`, `holdout`), or sources as a recipe writes them. Beside a suite they are
            what shots are drawn from, and what the suite `extraction` measures.
        oracle: a model that never saw the forget set, or its records.
        settings: further keys of a recipe that say how a model is loaded, asked and measured, as `forget run` takes
            them: `{"format.shots.role": "retain", "dtype": "float32", "max_new_tokens": 32}`.
        records: where to write the records (.jsonl); beside it, which rows were left out.

    Raises:
        ForgettingError: bad input.
    """
    voice = voice if is_first() else SILENT
    recipe = measuring(model, suite=suite, data=data, oracle=oracle, settings=settings)
    if recipe.redact:
        raise RecipeError("settings: redact hides texts in a folder that is written; write --out, or leave redact out")
    if recipe.judge is not None:
        raise RecipeError("settings: what a judge is asked is kept beside a folder; write --out, or leave judge out")
    if records is not None:
        file = records
        check_suffix(file, ".jsonl")
        on_first(lambda: check_writable(file))
    ready = ready_to_measure(recipe, voice)
    found = take(ready.loaded.model, ready.loaded.tokenizer, ready.suite, ready.recipe, voice)
    if records is not None:
        on_first(lambda: write_records(file, found.records))
        on_first(lambda: ready.heard.write_beside(file))
    measures = found.measures(ready.suite, of_oracle(ready.recipe, ready.suite, voice))
    return Evaluated(ready.suite.name, list(found.records), measures, ready.loaded.precision)


def measuring(
    model: str,
    *,
    suite: str | None = None,
    data: Mapping[str, str | Source] | None = None,
    oracle: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> Recipe:
    """The recipe by which `evaluate` measures; its stage is never run.

    Raises:
        RecipeError: nothing to measure, or an invalid key or value.
    """
    given: dict[str, object] = {
        "oracle": oracle,
        "evaluate": [suite] if suite else [],
        "data": {role: given_source(place).model_dump(exclude_defaults=True) for role, place in (data or {}).items()},
    }
    recipe = settled(model, given, settings or {}, ("format", "max_new_tokens", "sample", "metrics"))
    if not recipe.evaluate and not recipe.data:
        raise RecipeError("give either a suite or data files (forget=…, retain=…)")
    _check_read(recipe)
    return recipe


def _check_read(recipe: Recipe) -> None:
    """Refuses data beside suites that read none of them: who gives both means both to be measured."""
    suites = recipe.evaluate.values() if isinstance(recipe.evaluate, dict) else recipe.evaluate
    if recipe.data and suites and VERBATIM not in suites and recipe.format.shots is None:
        raise RecipeError(
            f"{', '.join(recipe.data)}: nothing is read of these data, as the suite {', '.join(suites)} has its own; "
            "leave out the data, or the suite"
        )


@dataclass(frozen=True)
class Ready:
    """A model and what is measured of it."""

    recipe: Recipe
    """With what the model settles, and the shots."""
    loaded: LoadedModel
    suite: Suite
    data: StageData
    heard: Heard


def ready_to_measure(recipe: Recipe, voice: Voice) -> Ready:
    """Loads data and model, and draws the shots.

    Raises:
        ForgettingError: bad input.
    """
    heard = Heard(voice.say)
    data = given_data(recipe, heard, voice)
    suite = suite_of(recipe, {"": data})
    loaded, recipe = load_measured(recipe, voice)
    recipe = with_shots(recipe, {"": data}, suite, voice=voice)
    check_passages(suite, loaded.tokenizer, longest_row(loaded.model))
    say_stops(suite, recipe.format, loaded.tokenizer, voice)
    say_drawn(suite, recipe, voice)
    return Ready(recipe, loaded, suite, data, heard)


def given_data(recipe: Recipe, heard: Heard, voice: Voice) -> StageData:
    """The recipe's data by role.

    Raises:
        DataError: a file or row that cannot be used.
    """
    found = {
        role: [(source, source_examples(source, role, recipe, voice, heard)) for source in sources]
        for role, sources in recipe.data.items()
    }
    examples = {role: [e for _, members in of_role for e in members] for role, of_role in found.items()}
    named = {role: " + ".join(map(str, sources)) for role, sources in recipe.data.items()}
    parts = {role: ids_by_source(of_role) for role, of_role in found.items()}
    return StageData(examples, named, parts=parts, skipped=heard.skipped)
