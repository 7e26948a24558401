"""The inputs of a run, prepared and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetting.benchmarks.suite import Suite
from forgetting.core.digest import examples_digest
from forgetting.core.progress import Voice
from forgetting.core.record import check_record_file
from forgetting.data.encode import Encoded
from forgetting.models.hidden_states import decoder_blocks
from forgetting.models.loading import LoadedModel
from forgetting.pipeline.run.environment import check_trackers
from forgetting.pipeline.run.load import loaded_for
from forgetting.pipeline.run.prepare import StageData, encode_stage, load_data
from forgetting.pipeline.run.select_tokens import check_selects
from forgetting.pipeline.run.suites import check_measured, check_passages, fast_suite_of, stop_splits, suite_of
from forgetting.pipeline.run.teacher import check_references
from forgetting.recipe import Recipe
from forgetting.recipe.stage import EXTRACTION
from forgetting.runs.folder import MEASURED, RunFolder


@dataclass(frozen=True)
class Prepared:
    """The inputs of `run`, of a dry run and of an estimate."""

    recipe: Recipe
    """The recipe, with rows no longer than the model has positions."""
    loaded: LoadedModel
    data: Mapping[str, StageData]
    """By stage."""
    encoded: Mapping[str, Mapping[str, Sequence[Encoded]]]
    """By stage and role."""
    suite: Suite
    """The suite that is measured before, between and after the stages."""

    @property
    def oracle(self) -> str | None:
        """The oracle in words, for the results; None if there is none."""
        shipped = self.suite.oracle
        return self.recipe.oracle or (None if shipped is None else f"{shipped.name}, shipped with the suite")


def check_recipe(recipe: Recipe) -> None:
    """Checks what can be checked without data and model.

    Raises:
        ForgettingError: the folder holds another run, a tracker is not installed, or token scores are missing.
    """
    RunFolder(recipe.folder).check_takes(recipe.to_yaml())
    check_trackers(recipe)
    check_selects(recipe)
    check_references(recipe)
    if recipe.oracle is not None and recipe.oracle.endswith(".jsonl"):
        check_record_file(Path(recipe.oracle))


def prepared(recipe: Recipe, voice: Voice) -> Prepared:
    """Loads data and model, encodes the data and builds the suite. Nothing is written.

    Raises:
        ForgettingError: recipe, data, model, adapters and suite do not fit each other, or the data changed since the
            start of the run.
    """
    data = load_data(recipe, voice)
    loaded, fitted = loaded_for(recipe)
    encoded = {s.name: encode_stage(s, data[s.name], loaded.tokenizer, fitted.format, voice) for s in fitted.stages}
    suite = suite_of(fitted, data)
    for stage in fitted.stages:
        if stage.until == EXTRACTION:
            stop_splits(stage, suite)
        elif stage.limit is not None:
            check_measured(stage.limit, fast_suite_of(fitted, data, stage))
        if stage.trains:
            decoder_blocks(loaded.model, stage.objective().layers)
    check_passages(suite, loaded.tokenizer)
    RunFolder(recipe.folder).check_data(digests_of(data, suite))
    return Prepared(fitted, loaded, data, encoded, suite)


def digests_of(data: Mapping[str, StageData], suite: Suite | None = None) -> dict[str, dict[str, str]]:
    """Digests of the training data, by stage and role, and of the measured data, by split."""
    found = {
        stage: {role: examples_digest(members) for role, members in d.examples.items()} for stage, d in data.items()
    }
    return found if suite is None else {**found, MEASURED: {s.name: examples_digest(s.examples) for s in suite.splits}}
