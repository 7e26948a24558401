"""The models of a finished run: before it, after its stages, after it, and the oracle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.digest import file_digest
from forgetting.core.errors import ModelError, RunError
from forgetting.core.folder import is_complete
from forgetting.core.progress import SILENT, Voice
from forgetting.models.adapters import active_adapters, add_saved, is_adapter
from forgetting.models.loading import LoadedModel, load_model
from forgetting.models.places import check_as_written
from forgetting.models.view import View
from forgetting.models.weights import check_finite
from forgetting.pipeline.run.load import device_of, load
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.source import recipe_of_run
from forgetting.pipeline.run.stage import with_trained
from forgetting.pipeline.run.suites import suite_of
from forgetting.recipe import Recipe
from forgetting.runs.began import MODEL, WEIGHTS
from forgetting.runs.folder import RunFolder
from forgetting.runs.not_a_run import check_run
from forgetting.runs.same_run import check_data
from forgetting.training.stored_reference import weights_fingerprint

_AFTER = "saved-after"
"""The name of the run's adapter on the base."""
STAGE = "stage:"


@dataclass(frozen=True, eq=False)
class RunModel:
    """One model of a run."""

    point: str
    """`before`, `after STAGE`, `after` or `oracle`."""
    view: View
    tokenizer: PreTrainedTokenizerBase


def recipe_of(folder: Path) -> Recipe:
    """The recipe of a finished run.

    Raises:
        RunError: no such folder, no run in it, or no model left in it.
    """
    run = RunFolder(folder)
    check_run(folder)
    check_as_written(run.model, read=False)
    if not _holds_model(run.model):
        raise RunError(f"{folder}: holds no model (not finished, or purged); finish the run, or name another")
    made_with = run.results().recipe_sha256 if run.is_finished else ""
    if made_with and file_digest(run.recipe_file) != made_with:
        raise RunError(f"{run.recipe_file}: is not the recipe that the run was made with; bring it back")
    return recipe_of_run(run)


def oracle_of(recipe: Recipe, data: Mapping[str, StageData], voice: Voice = SILENT) -> str | None:
    """The oracle model that a run names or its suite ships; None: there is none.

    If the recipe names records instead of a model, that is reported.
    """
    if recipe.oracle is not None and recipe.oracle.endswith(".jsonl"):
        voice.say(f"{recipe.oracle}: the run's oracle is a file of records, not a model; name one with --oracle")
        return None
    shipped = suite_of(recipe, data).oracle
    return recipe.oracle or (None if shipped is None else str(shipped))


def models_of(
    folder: Path, recipe: Recipe, *, stages: bool = False, oracle: str | None = None, voice: Voice = SILENT
) -> Iterator[RunModel]:
    """Yields the model before the run, after its stages, after it, and the oracle.

    The base is loaded once. A run that ends with an adapter gives views of the base: `before` and `after` stay valid,
    while the view after a stage is valid only until the next one is yielded. Fully tuned models are loaded one at a
    time, and the previous one is freed unless the caller keeps it.

    Args:
        folder: a finished run's, see `recipe_of`.
        recipe: the run's own.
        stages: also the models between the stages, if they were kept; the others are reported.
        oracle: a model by folder, hub id or the name of a suite that ships one; yielded last.
        voice: receives reports of stages that were not kept.

    Raises:
        RunError: the initial model or the oracle cannot be loaded, or the initial model has other weights now.
        ModelError: the run's model cannot be loaded, or has weights that are no numbers.
    """
    run = RunFolder(folder)
    base = _loaded(recipe.model, recipe, f"{folder}: the initial model of the run no longer exists")
    tokenizer = base.tokenizer
    if (weights := weights_fingerprint(base.model)) is not None:
        check_data(run, {MODEL: {WEIGHTS: weights}})
    model: PreTrainedModel | PeftModel = base.model
    del base
    yield RunModel("before", View(model, active_adapters(model)), tokenizer)
    known = True  # whether `model` is the initial model of the next stage
    for stage in recipe.stages[:-1] if stages else ():
        if stage.is_aside:
            continue
        kept, whole = run.stage(stage.name), stage.leaves_a_whole_model
        known = _holds_model(kept.model) if whole else known and is_complete(kept.last)
        if not known:
            voice.say(f"stage {stage.name}: its weights are no longer kept; it is left out")
            continue
        if whole:
            del model
            model = load_model(kept.model, dtype=recipe.dtype, device=device_of(recipe)).model
        else:
            own = recipe.adapter_of(stage) == stage.name
            model = with_trained(model, stage, kept, recipe.seed_of(stage), own=own)
        yield RunModel(f"after {stage.name}", View(model, active_adapters(model)), tokenizer)
    if is_adapter(run.model):  # it fits the base: a run that changed the base's weights saves a whole model
        model, names = add_saved(model, run.model, name=_AFTER)
        check_finite(model, str(run.model))
        yield RunModel("after", View(model, names), tokenizer)
        del model
    else:
        del model
        last = load_model(run.model, dtype=recipe.dtype, device=device_of(recipe))
        yield RunModel("after", View(last.model, active_adapters(last.model)), last.tokenizer)
        del last
    if oracle is not None:
        yield _oracle(oracle, recipe)


def other_model(folder: Path, recipe: Recipe, name: str, voice: Voice = SILENT) -> tuple[str, RunModel]:
    """A third model that changes can be relative to, and a short name of it for files: `stage-NAME` or `run-NAME`.

    Args:
        folder: a finished run's, see `recipe_of`.
        recipe: the run's own.
        name: `stage:NAME`, the model after that stage; else another model by run, folder or hub id.
        voice: receives reports of stages that were not kept.

    Raises:
        RunError: no such stage, one whose weights were not kept, or a model that cannot be loaded.
    """
    if not name.startswith(STAGE):
        other = _loaded(name, recipe, f"{name}: cannot be loaded as the model that changes are counted from")
        label = re.sub(r"[^\w.-]+", "-", Path(name).name or name)
        return f"run-{label}", RunModel("other", View(other.model, active_adapters(other.model)), other.tokenizer)
    stage = name.removeprefix(STAGE)
    return f"stage-{stage}", models_at(folder, recipe, stage, voice=voice)["after"]


def models_at(
    folder: Path, recipe: Recipe, stage: str, *, oracle: str | None = None, voice: Voice = SILENT
) -> dict[str, RunModel]:
    """By point, the model before the run, `after` this stage instead of the last one, and the oracle.

    With an adapter those before and after are views of one set of weights.

    Args:
        folder: a finished run's, see `recipe_of`.
        recipe: the run's own.
        stage: the name of one before the last.
        oracle: a model by folder, hub id or the name of a suite that ships one.
        voice: receives reports of stages that were not kept.

    Raises:
        RunError: no such stage, one whose weights were not kept, or a model that cannot be loaded.
    """
    between = [s.name for s in recipe.stages[:-1] if not s.is_aside]
    if stage not in between:
        known = ", ".join(f"{STAGE}{one}" for one in between) or "none: it has one stage"
        raise RunError(f"{STAGE}{stage}: no stage of {folder} before its last has this name ({known})")
    found: dict[str, RunModel] = {}
    for model in models_of(folder, recipe, stages=True, voice=voice):
        if model.point == "before":
            found["before"] = model
        if model.point == f"after {stage}":
            found["after"] = replace(model, point="after")
            break
    else:
        raise RunError(
            f"{STAGE}{stage}: the weights after this stage are no longer kept in {folder}; a run of the same recipe "
            "that ends with this stage has the same"
        )
    if oracle is not None:
        found["oracle"] = _oracle(oracle, recipe)
    return found


def _oracle(name: str, recipe: Recipe) -> RunModel:
    other = _loaded(name, recipe, f"{name}: the oracle cannot be loaded")
    return RunModel("oracle", View(other.model, active_adapters(other.model)), other.tokenizer)


def _holds_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def _loaded(name: str, recipe: Recipe, problem: str) -> LoadedModel:
    try:
        return load(name, recipe)
    except ModelError as error:
        raise RunError(f"{problem}: {error}") from error
