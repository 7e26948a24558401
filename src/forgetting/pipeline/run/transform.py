"""A stage that transforms the weights instead of training them."""

from __future__ import annotations

import time
from dataclasses import asdict

from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.core.errors import ModelError
from forgetting.models.transforms import Given
from forgetting.models.weights import not_finite
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.environment import peak_memory, reset_peak_memory
from forgetting.pipeline.run.stage import StageOutcome
from forgetting.pipeline.run.teacher import teacher_of
from forgetting.recipe import Stage
from forgetting.runs.stage_result import StageResult
from forgetting.training.flops import StageFlops
from forgetting.training.row_cost import Uncounted
from forgetting.training.row_counts import forward_cost


def transform_words(stage: Stage) -> str:
    """The name of a stage's transform in messages: `noise (alpha 0.3, beta 0.1)`."""
    given = ", ".join(f"{key} {value}" for key, value in (stage.transform or {}).items() if key != "name")
    return f"{stage.what} ({given})" if given else stage.what


def run_transform(context: StageContext, model: PreTrainedModel | PeftModel) -> StageOutcome:
    """Applies a stage's transform; after an interruption it is applied again to the same input, with the same bits.

    Args:
        context: a stage that transforms, with encoded examples of the roles that the transform declares.
        model: the model after the stage before; it may be changed.

    Raises:
        ModelError: the transform left adapters on the model.
    """
    stage, seed = context.stage, context.seed
    began = time.perf_counter()
    reset_peak_memory()
    context.voice.say(f"stage {stage.name}: transform {transform_words(stage)}, seed {seed}")
    reference = teacher_of(stage, model, context.tokenizer, context.earlier, context.start)
    given = Given(seed, context.pad_id, context.data, reference, context.voice.say, context.tokenizer)
    whole = stage.transformation().apply(model, given)
    if isinstance(whole, PeftModel):
        raise ModelError(f"stage '{stage.name}': the transform '{stage.what}' leaves adapters on the model; merge them")
    whole.eval()
    if broken := not_finite(whole):
        raise ModelError(
            f"stage '{stage.name}': the transform '{stage.what}' leaves NaN or infinity in {len(broken)} weights, "
            f"first {broken[0]}; change its values"
        )
    total = sum(p.numel() for p in whole.parameters())
    cost = forward_cost(whole)
    flops = StageFlops(reason=cost.reason) if isinstance(cost, Uncounted) else StageFlops(forward=cost)
    result = StageResult(
        name=stage.name,
        method=stage.what,
        transform=stage.transform,
        kept="the transformed model",
        of=total,
        peak_memory_bytes=peak_memory(),
        flops=asdict(flops),
    )
    context.folder.write_prepared(time.perf_counter() - began)
    context.folder.write_result(result)
    return StageOutcome(whole, result)
