"""Unlearning for a model in memory: no recipe file, no run folder."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import DataError, RecipeError
from forgetting.core.example import Example, Role
from forgetting.core.measure import Measure
from forgetting.core.progress import SILENT, Voice
from forgetting.data.alternates import load_alternates
from forgetting.data.encode import Encoded
from forgetting.data.examples import load_examples, to_example
from forgetting.data.formatting import Formatting, dated
from forgetting.data.pieces import in_pieces
from forgetting.data.reading import Heard, Reading
from forgetting.data.source import Source
from forgetting.data.tokens import limit_ids
from forgetting.metrics.movement import movement
from forgetting.models.head import embedding_rows, longest_row
from forgetting.models.precision import dtype_name, settled
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.prepare import StageData, encode_roles, load_data
from forgetting.pipeline.run.records import take
from forgetting.pipeline.run.stage import StageOutcome, run_stage
from forgetting.pipeline.run.suites import suite_of
from forgetting.recipe import Recipe, load_recipe, recipe_from
from forgetting.report.verdict.stop_rule import Seen, said
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.output import OutputFolder
from forgetting.runs.stage_result import StageResult
from forgetting.training.stage import Hooks

Examples = str | Path | Iterable[Example | Mapping[str, object] | str]
"""A file or folder; or examples, rows as in a file (`{"question": …, "answer": …}`), or documents."""


@dataclass(frozen=True)
class Unlearned:
    """The result of `unlearn`."""

    model: PreTrainedModel
    """The trained model; with LoRA, PEFT's model with its adapter active (`forgetting.save` and `merge` take it)."""
    result: StageResult
    history: list[dict]
    """One entry per step: loss, terms, learning rate."""
    before: list[Measure]
    after: list[Measure]


def unlearn(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    forget: Examples,
    retain: Examples | None = None,
    alternate: Examples | None = None,
    method: str | Mapping[str, object] = "loku",
    system: str | None = None,
    max_length: int = 1024,
    seed: int = 0,
    measure: bool = True,
    voice: Voice = SILENT,
    **stage: object,
) -> Unlearned:
    """Makes a model in memory forget.

    Args:
        model: a transformers causal language model. With full tuning it is changed in place, weights of 16 bits to
            fp32, since they would round small steps away; with an adapter its own weights are unchanged.
        tokenizer: its tokenizer; a chat template is used if it has one.
        forget: what to forget.
        retain: what to keep; most methods need it.
        alternate: what to answer instead, for methods such as DPO: questions with other answers, or a file of refusals.
        method: a method's name, or its name with parameters: `{"name": "npo", "beta": 0.1}`.
        system: a system prompt for the chat template.
        max_length: tokens per row.
        seed: of the data's order and the adapter's initialisation.
        measure: whether the forget and retain sets are measured before and after.
        voice: receives progress.
        **stage: any other key of a recipe's stage: `learning_rate`, `duration="60 steps"`, `adapter={"rank": 8}`, …
            The defaults are those of the built-in recipe `unlearn`, at 1e-5 where all weights are trained.

    Warns if almost nothing of the forget set moved, and says what to raise.

    Raises:
        ForgettingError: bad input, in one line.
    """
    recipe = recipe_of({"method": method, **stage}, Formatting(system=system, max_length=max_length), seed)
    limit_ids(tokenizer, embedding_rows(model))
    day = dated(recipe.format, tokenizer).date
    recipe = recipe if day is None else recipe.with_values({"format.date": str(day)})
    given = {Role.FORGET: forget, Role.RETAIN: retain, Role.ALTERNATE: alternate}
    data = examples_by_role(recipe, given, tokenizer, min(max_length, longest_row(model) or max_length), voice)
    suite = suite_of(recipe, {recipe.stages[0].name: data})
    spoken = encode_roles(data, list(recipe.stages[0].roles), tokenizer, recipe.format, voice)

    def measures() -> list[Measure]:
        return take(model, tokenizer, suite, recipe, voice).measures(suite, None) if measure else []

    if recipe.stages[0].adapter_or_full.kind == "full":
        _widen(model, voice)
    before = measures()
    outcome, history = _trained(recipe, model, tokenizer, spoken, voice)
    model, after = outcome.model, measures()
    result = replace(outcome.result, moved=movement(suite.declares, before, after))
    for line in said(result, Seen(Evaluation(point="after", measures=tuple(after))), keys=""):
        warnings.warn(line, stacklevel=2)
    return Unlearned(model, result, history, before, after)


def examples_by_role(
    recipe: Recipe,
    given: Mapping[Role, Examples | None],
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
    voice: Voice,
) -> StageData:
    """The examples of the recipe's stage by role; long documents in pieces of at most `longest` tokens."""
    heard = Heard(voice.say)
    examples: dict[str, list[Example]] = {}
    for role, some in given.items():
        if some is not None and role is Role.ALTERNATE:
            examples[role] = _alternates(some, heard)
        elif some is not None:
            examples[role] = in_pieces(_examples(some, role, heard), tokenizer, longest)
    return load_data(recipe, voice, given=examples)[recipe.stages[0].name]


def _trained(
    recipe: Recipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Mapping[str, list[Encoded]],
    voice: Voice,
) -> tuple[StageOutcome, list[dict]]:
    """The recipe's stage, run in a folder that is removed afterwards, and its steps."""
    with tempfile.TemporaryDirectory() as folder:
        context = StageContext(
            stage=recipe.stages[0],
            tokenizer=tokenizer,
            data=data,
            folder=RunFolder(Path(folder) / "run").stage(recipe.stages[0].name),
            output=OutputFolder(Path(folder)),
            seed=recipe.seed,
            voice=voice,
        )
        outcome = run_stage(context, model, Hooks(progress=voice.progress, say=voice.say))
        return outcome, [asdict(step) for step in context.folder.history()]


def _widen(model: PreTrainedModel, voice: Voice) -> None:
    """Keeps weights that are all trained in a precision that does not lose small steps."""
    precision = settled("auto", model.dtype, device=model.device, trains_all=True)
    if precision.dtype != dtype_name(model):
        voice.say(str(precision))
        model.float()


_DEFAULTS = ("batch_size", "duration", "schedule", "warmup", "checkpoint_every")
"""What a stage in memory takes from the built-in recipe if it is not given; the rate, for an adapter only."""


def recipe_of(stage: Mapping[str, object], formatting: Formatting, seed: int) -> Recipe:
    """The recipe of one stage on a model in memory."""
    if {"evaluate_every", "keep"} & stage.keys():
        raise RecipeError("unlearn measures before and after only; for evaluate_every and keep: best, write a recipe")
    values = {"model": "in memory", "seed": seed, "format": formatting.model_dump()}
    own = load_recipe("unlearn", {"model": "in memory"}).stages[0].model_dump(mode="json")
    given = {**{key: own[key] for key in _DEFAULTS}, "evaluate_every": None, **stage}
    recipe = recipe_from({**values, "stages": [given]}, "unlearn")
    if "learning_rate" in stage or recipe.stages[0].adapter_or_full.kind == "full":
        return recipe
    return recipe_from({**values, "stages": [{**given, "learning_rate": own["learning_rate"]}]}, "unlearn")


def _alternates(given: Examples, heard: Heard) -> list[Example]:
    if isinstance(given, str | Path):
        return load_alternates(Source(path=str(given)), heard)
    return _examples(given, Role.ALTERNATE, heard)


def _examples(given: Examples, role: str, heard: Heard) -> list[Example]:
    if isinstance(given, str | Path):
        return load_examples(Source(path=str(given)), heard)
    rows = list(given)
    if not rows:
        raise DataError(f"the {role} set is empty; give at least one example")
    reading = Reading()
    examples = [_example(row, f"{role}[{i}]", reading) for i, row in enumerate(rows)]
    heard.take(f"the {role} set", reading)
    return examples


def _example(row: object, where: str, reading: Reading) -> Example:
    if isinstance(row, Example):
        return row
    if not isinstance(row, str | Mapping):
        raise DataError(
            f"{where}: a {type(row).__name__}; give an Example, a mapping with question and answer, or a text"
        )
    return to_example({"text": row} if isinstance(row, str) else dict(row), where, Source(path=where), reading)
