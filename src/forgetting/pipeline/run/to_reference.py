"""The distance to a stage's reference, where the stage ends by it."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from forgetting.benchmarks.suite import Suite
from forgetting.data.encode import encode
from forgetting.data.formatting import Formatting
from forgetting.evaluation.to_reference import ToReference, compared
from forgetting.metrics.to_reference import splits_of
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.teacher import teacher_of
from forgetting.training.stored_reference import store_reference


def distance_of(
    context: StageContext, model: PreTrainedModel, suites: Sequence[Suite], formatting: Formatting
) -> ToReference | None:
    """How far a model is from the stage's reference on the splits that `until` names; None if it names none.

    The reference's predictions are computed once and stored; it is freed before training.

    Args:
        context: the stage.
        model: the model before the stage, which is the reference unless the stage names another.
        suites: what is measured on the way and after the stage; their splits' examples are encoded as they are asked.
        formatting: how examples become text.
    """
    splits = splits_of(context.stage.ends.limits) if context.stage.ends is not None else ()
    if not splits:
        return None
    measured = [split for suite in suites for split in suite.splits]
    examples = {name: {e.id: e for split in measured if split.name == name for e in split.examples} for name in splits}
    rows = {name: [encode(e, context.tokenizer, formatting) for e in each.values()] for name, each in examples.items()}
    teacher = teacher_of(context.stage, model, context.tokenizer, context.earlier, context.start)
    stored = store_reference(
        teacher or model,
        compared(splits),
        rows,
        context.output.references,
        pad_id=context.pad_id,
        say=context.voice.say,
    )
    clusters = {name: {e.id: e.cluster for e in each.values()} for name, each in examples.items()}
    return ToReference(rows, clusters, stored, context.pad_id)
