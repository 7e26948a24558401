"""The reference of a stage's losses, if it is not the model before the stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.benchmarks.registry import shipped_models, suite_model
from forgetting.core.errors import ModelError, RecipeError
from forgetting.data.tokens import first_other_token
from forgetting.models.head import embedding_rows
from forgetting.models.hub_names import is_hub_name
from forgetting.models.loading import load_model
from forgetting.recipe import Recipe, Stage
from forgetting.recipe.stage import BEFORE, START
from forgetting.runs.paths import StagePaths


def check_references(recipe: Recipe) -> None:
    """Checks that models that stages name as their reference exist, before anything is trained or measured.

    Raises:
        RecipeError: there is no such folder, and the name cannot be the hub's.
    """
    for stage in recipe.stages:
        name = stage.reference
        if name in (BEFORE, START) or name.startswith("stage:"):
            continue
        if name in shipped_models() or Path(name).is_dir() or is_hub_name(name):
            continue
        raise RecipeError(
            f"stage '{stage.name}': reference is '{name}', and there is no such folder; give a model's, stage:NAME, or "
            "start"
        )


def teacher_of(
    stage: Stage,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    earlier: Callable[[str], StagePaths] | None,
    start: Callable[[], PreTrainedModel] | None = None,
) -> PreTrainedModel | None:
    """The stage's reference, loaded in the precision of `model`; None if it is the current model.

    Args:
        stage: the stage.
        model: the model before the stage.
        tokenizer: its own.
        earlier: the folders of the run's stages, by name; None if there are no others.
        start: loads the model that the run began with; None if it is only in memory.

    Raises:
        ModelError: it cannot be loaded, or has another vocabulary.
    """
    name = stage.reference
    if name == BEFORE:
        return None
    if name == START:
        if start is None:
            raise RecipeError(f"stage '{stage.name}': reference is '{name}', and no run began; leave it out")
        return start()
    if name.startswith("stage:"):
        if earlier is None:
            raise RecipeError(f"stage '{stage.name}': reference is '{name}', and there is no other stage; give a model")
        source: str | Path = earlier(name.removeprefix("stage:")).model
    else:
        source = suite_model(name)
    precision = str(model.dtype).removeprefix("torch.")
    teacher = load_model(source, dtype=precision, device=next(model.parameters()).device)
    theirs, own = (embedding_rows(m) for m in (teacher.model, model))
    if theirs != own:
        raise ModelError(
            f"stage '{stage.name}': the reference {name} has {theirs:,} rows of vocabulary and the model {own:,}; "
            "give one with the same tokenizer"
        )
    if (other := first_other_token(tokenizer, teacher.tokenizer)) is not None:
        raise ModelError(
            f"stage '{stage.name}': the reference {name} has another vocabulary (the token '{other}' has another id "
            "there, or none); give one with the same tokenizer"
        )
    return teacher.model
