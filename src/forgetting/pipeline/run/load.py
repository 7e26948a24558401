"""Loads the models that a recipe names."""

from __future__ import annotations

from forgetting.core.errors import ModelError
from forgetting.models.adapters import check_rank
from forgetting.models.composed import ComposedModel
from forgetting.models.devices import device_named
from forgetting.models.expression import load_expression
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel
from forgetting.pipeline.run.source import model_source
from forgetting.recipe import Recipe


def load(name: str, recipe: Recipe) -> LoadedModel:
    """A model by folder, hub id, run, or the name of a suite that ships one; or a combination of them.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    return load_expression(
        name,
        source=model_source,
        dtype=recipe.dtype,
        revision=recipe.revision,
        device=device_of(recipe),
        quantise=recipe.quantise,
    )


def loaded_for(recipe: Recipe) -> tuple[LoadedModel, Recipe]:
    """The model, checked for the adapters' targets, and the recipe with rows no longer than the model has positions.

    Raises:
        ModelError: there is no such model, or it has none of the targets.
    """
    loaded = load(recipe.model, recipe)
    if isinstance(loaded.model, ComposedModel):
        raise ModelError(f"{recipe.model}: a combination of models is measured, not trained; name one model")
    for stage in recipe.stages:
        if stage.adapter_or_full.kind != "full":
            check_rank(loaded.model, stage.adapter_or_full.targets, stage.adapter_or_full.rank)
    positions = longest_row(loaded.model)
    if positions is not None and positions < recipe.format.max_length:
        recipe = recipe.with_values({"format.max_length": positions})
    return loaded, recipe


def device_of(recipe: Recipe) -> str:
    """The recipe's device, or an accelerator if there is one."""
    return device_named(recipe.device)
