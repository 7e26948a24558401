"""Evaluates a model on a suite without a run (`forget eval`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.example import Example
from forgetting.core.folder import check_suffix, partial_of
from forgetting.core.measure import Measure
from forgetting.core.processes import is_first, on_first, together
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import Record, write_records
from forgetting.data.examples import load_examples
from forgetting.data.reading import Heard
from forgetting.data.source import Source, given_source
from forgetting.models.precision import Precision
from forgetting.pipeline.run.documents import fitting
from forgetting.pipeline.run.load import load_measured, own_settings
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.records import of_oracle, take
from forgetting.pipeline.run.suites import check_passages, suite_of
from forgetting.recipe import Recipe, recipe_from


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

    If a run is named, its format, precision and length of answers are used, so that its own numbers come back.

    Args:
        model: folder, hub id, run folder, the name of a suite's model, or a combination, which adds up logits:
            `lab + 0.5*runs/gd - 0.5*lab`. See `forgetting.models.expression`.
        suite: a suite's name; its shipped oracle is used unless `oracle` names another.
        data: files by role (`forget`, `retain`, `holdout`), instead of a suite, or sources as a recipe writes them.
        oracle: a model that never saw the forget set, or its records.
        settings: further keys of a recipe that matter here: `format`, `dtype`, `device`, `max_new_tokens`.
        records: where to write the records (.jsonl); beside it, which rows were left out.

    Raises:
        ForgettingError: bad input.
    """
    if (suite is None) == (not data):
        raise RecipeError("give either a suite or data files (forget=…, retain=…)")
    voice = voice if is_first() else SILENT
    if records is not None:
        file = records
        check_suffix(file, ".jsonl")
        on_first(lambda: check_writable(file))
    recipe = _recipe(model, suite, oracle, settings or {})
    heard = Heard(voice.say)
    asked = _suite(recipe, data or {}, voice, heard)
    loaded, recipe = load_measured(recipe, voice)
    check_passages(asked, loaded.tokenizer)
    found = take(loaded.model, loaded.tokenizer, asked, recipe, voice)
    if records is not None:
        on_first(lambda: write_records(file, found.records))
        on_first(lambda: heard.write_beside(file))
    measures = found.measures(asked, of_oracle(recipe, asked, voice))
    return Evaluated(asked.name, list(found.records), measures, loaded.precision)


def check_writable(file: Path) -> None:
    """Checks that a file can be written, before the work starts; its folder is made later, with the file.

    Raises:
        RunError: it cannot be.
    """
    made = [folder for folder in file.parents if not folder.exists()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial_of(file).touch()
        partial_of(file).unlink()
    except OSError as error:
        raise RunError(f"{file}: cannot be written ({error.strerror}); choose another file") from error
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _recipe(model: str, suite: str | None, oracle: str | None, settings: Mapping[str, object]) -> Recipe:
    """A recipe for its keys of formatting and loading; its stage is never run."""
    values = {"model": model, "oracle": oracle, "evaluate": [suite] if suite else [], **own_settings(model), **settings}
    return recipe_from({**values, "stages": [{"method": "sft"}]}, "settings")


def _suite(recipe: Recipe, data: Mapping[str, str | Source], voice: Voice, heard: Heard) -> Suite:
    examples: dict[str, list[Example]] = {
        role: fitting(load_examples(source, heard), source, recipe, voice)
        for role, source in ((role, given_source(place)) for role, place in data.items())
    }
    return suite_of(recipe, {"": StageData(examples, {role: str(place) for role, place in data.items()})})
