"""The inputs of a run, prepared and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Suite
from forgetting.core.digest import digest, examples_digest
from forgetting.core.errors import RecipeError
from forgetting.core.progress import Voice
from forgetting.core.record import check_record_file
from forgetting.data.encode import Encoded, encoded_digest
from forgetting.models.expression import check_places
from forgetting.models.head import longest_row
from forgetting.models.hidden_states import decoder_blocks
from forgetting.models.loading import LoadedModel
from forgetting.pipeline.run.earlier import earlier_requests, learned_again
from forgetting.pipeline.run.judged import judge_of
from forgetting.pipeline.run.load import dated_recipe, loaded_for
from forgetting.pipeline.run.prepare import StageData, encode_stage, load_data
from forgetting.pipeline.run.records import read_digests
from forgetting.pipeline.run.select_tokens import check_selects
from forgetting.pipeline.run.shots import say_stops, with_shots
from forgetting.pipeline.run.source import model_source, start_of
from forgetting.pipeline.run.suites import check_goals, check_passages, say_drawn, suite_of
from forgetting.pipeline.run.teacher import check_references
from forgetting.pipeline.run.tracking import check_trackers
from forgetting.recipe import Recipe
from forgetting.runs.began import CONFIG, MEASURED, MODEL, READ, VOCABULARY, WEIGHTS
from forgetting.runs.folder import RunFolder
from forgetting.runs.same_run import check_data, check_takes
from forgetting.training.stored_reference import fingerprint_of, weights_fingerprint


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
    model: Mapping[str, str]
    """Digests of the initial model; see `model_digests`."""
    read: Mapping[str, str]
    """By split of the suite, the digest of what a model reads of it."""

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """Digests of the initial model, of the data as they are given, and under `READ` as a model reads them."""
        rows = {f"{s}/{r}": encoded_digest(some) for s, roles in self.encoded.items() for r, some in roles.items()}
        read = {**rows, **{f"{MEASURED[1:]}/{name}": digest for name, digest in self.read.items()}}
        return {**digests_of(self.data, self.suite, self.model), READ: read}

    @property
    def oracle(self) -> str | None:
        """The oracle in words, for the results; None if there is none."""
        shipped = self.suite.oracle
        return self.recipe.oracle or (None if shipped is None else f"{shipped.name}, shipped with the suite")


def check_recipe(recipe: Recipe) -> None:
    """Checks what can be checked without data and model.

    Raises:
        ForgettingError: the folder holds another run, a tracker is not installed, token scores or the oracle are
            missing, the judge's address cannot be one, or a revision is given for a model that is not on the hub.
    """
    check_takes(RunFolder(recipe.folder), recipe.to_yaml(), Recipe.rewritten)
    check_trackers(recipe)
    check_selects(recipe)
    check_references(recipe)
    judge_of(recipe)
    if recipe.revision is not None and start_of(recipe.model) != "hub":
        raise RecipeError(f"'revision' is {recipe.revision}, but {recipe.model} is not on the hub; leave it out")
    if recipe.oracle is not None and recipe.oracle.endswith(".jsonl"):
        check_record_file(Path(recipe.oracle))
    elif recipe.oracle is not None:
        check_places(recipe.oracle, model_source)


def prepared(recipe: Recipe, voice: Voice) -> Prepared:
    """Loads data and model, encodes the data and builds the suite. Nothing is written.

    Raises:
        ForgettingError: recipe, data, model, adapters and suite do not fit each other, or the data changed since the
            start of the run.
    """
    data = load_data(recipe, voice)
    loaded, fitted = loaded_for(recipe, voice)
    fitted = dated_recipe(fitted, loaded, RunFolder(recipe.folder).day)
    learned_again(earlier_requests(recipe.model), fitted.stages, data, loaded.tokenizer, voice)
    suite = suite_of(fitted, data)
    fitted = with_shots(fitted, data, suite, voice=voice)
    trained = fitted.format.trained
    encoded = {
        s.name: encode_stage(s, data[s.name], loaded.tokenizer, s.formatting(trained), voice) for s in fitted.stages
    }
    say_stops(suite, fitted.format, loaded.tokenizer, voice)
    say_drawn(suite, fitted, voice)
    check_goals(fitted, data, suite)
    for stage in fitted.stages:
        if stage.trains:
            decoder_blocks(loaded.model, stage.objective().layers)
    check_passages(suite, loaded.tokenizer, longest_row(loaded.model))
    model = model_digests(loaded.model, loaded.tokenizer)
    read = read_digests(suite, loaded.tokenizer, fitted.format)
    ready = Prepared(fitted, loaded, data, encoded, suite, model, read)
    check_data(RunFolder(recipe.folder), ready.digests)
    return ready


def digests_of(
    data: Mapping[str, StageData], suite: Suite | None = None, model: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Digests of the training data, by stage and role, of the measured data, by split, and of the initial model."""
    found = {
        stage: {role: examples_digest(members) for role, members in d.examples.items()} for stage, d in data.items()
    }
    if suite is not None:
        found[MEASURED] = {s.name: examples_digest(s.examples) for s in suite.splits}
    return {**found, MODEL: dict(model)} if model else found


def model_digests(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Digests of a model's config, of its tokenizer's vocabulary, and of its weights unless they are in 4 bits."""
    weights = weights_fingerprint(model)
    found = {
        f"{CONFIG} of transformers {version('transformers')}": fingerprint_of(model.config, ()),
        VOCABULARY: digest(sorted(tokenizer.get_vocab().items())),
    }
    return found if weights is None else {WEIGHTS: weights, **found}
