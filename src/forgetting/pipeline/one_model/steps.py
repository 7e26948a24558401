"""The steps of an unlearning for a trainer of another library."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedTokenizerBase

from forgetting.core.example import Role
from forgetting.core.progress import SILENT, Voice
from forgetting.data.formatting import Formatting, dated
from forgetting.evaluation.answers import padding_id
from forgetting.pipeline.one_model.unlearn import Examples, examples_by_role, recipe_of
from forgetting.pipeline.run.prepare import encode_roles
from forgetting.training.in_trainer import UnlearningSteps


def unlearning_steps(
    tokenizer: PreTrainedTokenizerBase,
    *,
    forget: Examples,
    retain: Examples | None = None,
    alternate: Examples | None = None,
    method: str | Mapping[str, object] = "npo",
    steps: int | None = None,
    batch_size: int = 16,
    micro_batch_size: int | None = None,
    system: str | None = None,
    max_length: int = 1024,
    seed: int = 0,
    voice: Voice = SILENT,
) -> UnlearningSteps:
    """The steps of a method on these examples, as the data set of a trainer with `Unlearning`.

    Args:
        tokenizer: of the model; a chat template is used if it has one.
        forget: what to forget; `retain` what to keep, `alternate` what to answer instead, as for `unlearn`.
        method: a method's name, or its name with parameters: `{"name": "npo", "beta": 0.1}`.
        steps: how many; None: five epochs of the forget set.
        batch_size: examples of the forget set per step; the retain set gives as many.
        micro_batch_size: examples of a role per forward; None: by tokens.
        system: a system prompt for the chat template.
        max_length: tokens per row.
        seed: of the data's order.
        voice: receives progress.

    Raises:
        ForgettingError: bad input, in one line; RecipeError for a method whose steps are more than a loss.
    """
    recipe = recipe_of(
        {"method": method, "batch_size": batch_size}, Formatting(system=system, max_length=max_length), seed
    )
    day = dated(recipe.format, tokenizer).date
    recipe = recipe if day is None else recipe.with_values({"format.date": str(day)})
    given = {Role.FORGET: forget, Role.RETAIN: retain, Role.ALTERNATE: alternate}
    data = examples_by_role(recipe, given, tokenizer, max_length, voice)
    objective = recipe.stages[0].objective()
    encoded = encode_roles(data, list(objective.roles), tokenizer, recipe.format, voice)
    epoch = -(-len(encoded[objective.roles[0]]) // batch_size)
    return UnlearningSteps(
        objective,
        encoded,
        steps=5 * epoch if steps is None else steps,
        batch_size=batch_size,
        pad_id=padding_id(tokenizer),
        seed=seed,
        micro_batch_size=micro_batch_size,
    )
