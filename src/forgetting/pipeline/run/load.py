"""Loads the models that a recipe names."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from forgetting.core.errors import ModelError
from forgetting.core.progress import SILENT, Voice
from forgetting.data.formatting import dated, writes_date
from forgetting.models.adapters import check_rank, merged
from forgetting.models.adapters.curlora_peft import CURLORA
from forgetting.models.composed import ComposedModel
from forgetting.models.devices import device_named
from forgetting.models.expression import load_expression, terms_of
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel, stored_nowhere
from forgetting.models.new_tokens import with_new_tokens
from forgetting.models.precision import DTYPES
from forgetting.models.quantised import Quantise
from forgetting.pipeline.run.source import is_run, model_source, recipe_of_run
from forgetting.recipe import Recipe, load_recipe
from forgetting.runs.folder import RunFolder


def load(name: str, recipe: Recipe, *, quantise: Quantise | None = None) -> LoadedModel:
    """A model by folder, hub id, run, or the name of a suite that ships one; or a combination of them.

    The recipe's precision is used; if it leaves the choice, that of the runs that are named, so that their models are
    those that they measured.

    Args:
        name: of the model.
        recipe: its precision, device and revision count.
        quantise: matrices in 4 bits; None: as the recipe's stages ask.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    return _load(name, recipe, _taken(name, recipe), quantise=quantise or recipe.quantise)


def load_measured(recipe: Recipe, voice: Voice = SILENT) -> tuple[LoadedModel, Recipe]:
    """The recipe's model to be measured as it is, and the recipe with what the model settles.

    That is its precision and the day that its chat template writes, both of which are reported, and rows no longer than
    the model has positions. The model of a run that trained on matrices in 4 bits has them again.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    loaded = load(recipe.model, recipe, quantise=_quantised(recipe.model))
    voice.say(str(loaded.precision))
    recipe = dated_recipe(_fitted(recipe, loaded), loaded)
    if writes_date(recipe.format, loaded.tokenizer):
        voice.say(f"the chat template of {recipe.model} writes a date: {recipe.format.date}; format.date sets another")
    return loaded, recipe


def loaded_for(recipe: Recipe, voice: Voice = SILENT) -> tuple[LoadedModel, Recipe]:
    """The model to be trained, checked for the adapters' targets, and the recipe with what the model settles.

    That is its precision, which is reported, and the run's own if it began earlier, and rows no longer than the model
    has positions. An adapter that the stages' adapters cannot be added to is merged.

    Raises:
        ModelError: there is no such model, or it has none of the targets.
    """
    taken = _begun(recipe) or _taken(recipe.model, recipe, trains_all=trains_all(recipe))
    loaded = _load(recipe.model, recipe, taken, quantise=recipe.quantise, trains_all=trains_all(recipe))
    voice.say(str(loaded.precision))
    if isinstance(loaded.model, ComposedModel):
        raise ModelError(f"{recipe.model}: a combination of models is measured, not trained; name one model")
    for stage in recipe.stages:
        if not stage.adapter_or_full.is_inside:
            check_rank(loaded.model, stage.adapter_or_full.targets, stage.adapter_or_full.rank)
    loaded = _mergeable(loaded, recipe)
    if loaded.merged:
        voice.say(f"{recipe.model}: this adapter is merged into its base, so the whole model is saved at the end")
    return loaded, _fitted(recipe, loaded)


def trains_all(recipe: Recipe) -> bool:
    """Whether a stage trains all weights, so that they are kept in fp32 unless the recipe says otherwise."""
    return any(stage.trains and stage.adapter_or_full.kind == "full" for stage in recipe.stages)


def own_settings(model: str) -> dict[str, Any]:
    """How the first run of an expression measures: format, length of answers, sample, metrics; nothing without a run.

    Raises:
        ForgettingError: the run's recipe cannot be read.
    """
    run = next(iter(_runs(model)), None)
    if run is None:
        return {}
    recipe = recipe_of_run(run)
    metrics = [metric.model_dump() for metric in recipe.metrics]
    sample = {} if recipe.sample is None else {"sample": recipe.sample.model_dump()}
    return {"format": recipe.format.model_dump(), "max_new_tokens": recipe.max_new_tokens, "metrics": metrics, **sample}


def dated_recipe(recipe: Recipe, loaded: LoadedModel, day: datetime.date | None = None) -> Recipe:
    """The recipe with the day that the model's chat template writes; unchanged if it writes none.

    Args:
        day: the day that was recorded; None: today.
    """
    when = dated(recipe.format, loaded.tokenizer, day).date
    return recipe if when == recipe.format.date else recipe.with_values({"format.date": str(when)})


def device_of(recipe: Recipe) -> str:
    """The recipe's device, or an accelerator if there is one."""
    return device_named(recipe.device)


def _load(
    name: str, recipe: Recipe, taken: _Taken, *, quantise: Quantise | None, trains_all: bool = False
) -> LoadedModel:
    loaded = load_expression(
        name,
        source=model_source,
        dtype=taken.dtype,
        revision=recipe.revision,
        device=device_of(recipe),
        quantise=quantise,
        trains_all=trains_all,
    )
    if name == recipe.model:
        loaded = with_new_tokens(loaded, recipe.new_tokens)
    return replace(loaded, precision=replace(loaded.precision, why=taken.why)) if taken.why else loaded


@dataclass(frozen=True, slots=True)
class _Taken:
    """The precision to ask for, a key of `DTYPES`."""

    dtype: str
    why: str = ""
    """Where it comes from, if not from the recipe or the weights."""


def _begun(recipe: Recipe) -> _Taken | None:
    """The precision in which the recipe's run began earlier; None if it did not, or the recipe names one."""
    began = RunFolder(recipe.folder).began_in
    return _Taken(began, "as the run began") if recipe.dtype == "auto" and began in DTYPES else None


def _taken(name: str, recipe: Recipe, *, trains_all: bool = False) -> _Taken:
    """The recipe's precision; if it leaves the choice, that of the runs that a model's name names.

    Where all weights train, 16 bits of an earlier run are not taken over: nobody asked for them, and small steps would
    be lost.
    """
    if recipe.dtype != "auto":
        return _Taken(recipe.dtype)
    of_runs = _of_runs(name)
    return _Taken("auto") if trains_all and of_runs.dtype in ("bfloat16", "float16") else of_runs


def _runs(model: str) -> list[RunFolder]:
    """The runs with a model that an expression names."""
    named = [RunFolder(Path(term.model)) for term in terms_of(model) if is_run(term.model)]
    return [run for run in named if run.model.is_dir()]


def _of_runs(model: str) -> _Taken:
    """The precision in which the runs of an expression measured their models, the widest if they differ."""
    said = {run.began_in or load_recipe(str(run.recipe_file)).dtype: run for run in reversed(_runs(model))}
    widest = next((name for name in ("float64", "float32", "bfloat16", "float16") if name in said), None)
    return _Taken("auto") if widest is None else _Taken(widest, f"as in the run {said[widest].path}")


def _quantised(model: str) -> Quantise | None:
    """How the matrices of a single run's model are stored, if it saved an adapter and not a whole model."""
    terms = terms_of(model)
    runs = _runs(model)
    if len(terms) > 1 or not runs or not (runs[0].model / "adapter_config.json").is_file():
        return None
    return load_recipe(str(runs[0].recipe_file)).quantise


def _mergeable(loaded: LoadedModel, recipe: Recipe) -> LoadedModel:
    """The model, with its adapter merged if the stages' adapters are of another kind, which PEFT does not mix."""
    if not isinstance(loaded.model, PeftModel):
        return loaded
    of_curlora = {s.adapter_or_full.kind == "curlora" for s in recipe.stages if not s.adapter_or_full.is_inside}
    if of_curlora <= {loaded.model.peft_type == CURLORA}:
        return loaded
    return replace(loaded, model=stored_nowhere(merged(loaded.model).eval()), merged=True)


def _fitted(recipe: Recipe, loaded: LoadedModel) -> Recipe:
    """The recipe with what the model settles: its precision, for every other model too, and the length of rows."""
    if loaded.precision.dtype != "float64":  # a recipe cannot ask for it; it is as stored
        recipe = recipe.with_values({"dtype": loaded.precision.dtype})
    positions = longest_row(loaded.model)
    if positions is None or positions >= recipe.format.max_length:
        return recipe
    return recipe.with_values({"format.max_length": positions})
