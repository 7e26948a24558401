"""The shots of a recipe: drawn from its source or from a role of its data, never from what is to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import RecipeError, said_of
from forgetting.core.example import Example, Role
from forgetting.core.progress import Voice
from forgetting.core.text import quoted
from forgetting.data.examples import load_examples
from forgetting.data.formatting import Formatting
from forgetting.data.reading import Heard
from forgetting.data.shots import Forbidden, Shots, check_written, draw
from forgetting.pipeline.run.prepare import StageData, of_role
from forgetting.recipe import Recipe

_EXAMPLES = "format.shots.examples"


def with_shots(recipe: Recipe, data: Mapping[str, StageData], suite: Suite | None = None, *, voice: Voice) -> Recipe:
    """The recipe with its shots drawn; unchanged if it has none, or its run has drawn them.

    Args:
        recipe: whose `format.shots` are meant.
        data: of its stages; their forget sets, and those of the suite, are never shown.
        suite: what is measured.
        voice: receives what was drawn and what was left out.

    Raises:
        RecipeError: there are no data of the role.
        DataError: too few examples, or one written in the recipe that is or quotes a forget example.
    """
    shots = recipe.format.shots
    if shots is None:
        return recipe
    forbidden = Forbidden(_to_forget(data, suite))
    if shots.examples is not None:
        check_written(shots.examples, forbidden)
        return recipe
    key, pool = _pool(shots, data, voice)
    found, left_out = draw(shots, pool, forbidden, key)
    said = f"{key}: {shots.shown} of its questions with their answers are shown before each question"
    without = f"; {left_out} more were drawn and left out, since they are or quote forget examples" if left_out else ""
    voice.say(said + ("" if shots.training else " that is measured, none in training") + without)
    return recipe.with_values({_EXAMPLES: [shot.model_dump() for shot in found]})


def as_asked(recipe: Recipe) -> Recipe:
    """The recipe as it asks for shots, without those that were drawn."""
    shots = recipe.format.shots
    drawn = shots is not None and (shots.source is not None or shots.role is not None)
    return recipe.with_values({_EXAMPLES: None}) if drawn else recipe


def say_stops(suite: Suite, formatting: Formatting, tokenizer: PreTrainedTokenizerBase, voice: Voice) -> None:
    """Says at which texts answers end, and which right answers no model can write: they hold one, or are too long."""
    stops = formatting.stops(tokenizer)
    if stops:
        voice.say(f"answers end at {' or '.join(map(repr, stops))} too (format.stop)")
    for split in suite.splits if stops else ():
        asked = [e for e in split.examples if split.generate and not e.is_document]
        cut = [e for e in asked if any(stop in e.response.strip() for stop in stops)]
        if cut:
            voice.say(
                f"warning: {len(cut)} of {len(asked)} {split.name} answers hold a text at which answers end "
                f"({', '.join(map(repr, stops))}), as {quoted(cut[0].response)} does, and cannot be written; "
                "set format.stop"
            )
    for split in suite.splits:
        limit, asked = split.max_new_tokens, [e for e in split.examples if split.generate and not e.is_document]
        long = [e for e in asked if limit and len(tokenizer.encode(e.response, add_special_tokens=False)) > limit]
        if long:
            voice.say(
                f"warning: {len(long)} of {len(asked)} {split.name} answers are longer than what a model may write "
                f"(max_new_tokens: {limit}), as {quoted(long[0].response)} is, and are never counted as right"
            )


def _to_forget(data: Mapping[str, StageData], suite: Suite | None) -> list[Example]:
    forget = [] if suite is None else suite.declares.forget_splits
    measured = [] if suite is None else [e for s in suite.splits if s.name in forget for e in s.examples]
    given = [e for d in data.values() for e in d.examples.get(Role.FORGET, ())]
    return [*given, *measured]


def _pool(shots: Shots, data: Mapping[str, StageData], voice: Voice) -> tuple[str, Sequence[Example]]:
    """What shots are drawn from, with its name in messages."""
    if shots.role is None:
        assert shots.source is not None, "one of them is given"
        with said_of("format.shots.source"):
            return str(shots.source), load_examples(shots.source, Heard(voice.say))
    found = of_role(data, shots.role)
    if not found:
        raise RecipeError(
            f"format.shots.role: there are no {shots.role} data to draw shots from; write data.{shots.role}=…, or "
            "format.shots.source=FILE"
        )
    return f"data.{shots.role}", found
