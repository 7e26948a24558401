"""A stage that transforms the weights instead of training them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.errors import ModelError
from forgetting.core.folder import write_text
from forgetting.core.processes import on_first
from forgetting.core.progress import Voice
from forgetting.data.encode import Encoded
from forgetting.evaluation.answers import padding_id
from forgetting.models.transforms import Given
from forgetting.pipeline.run.environment import peak_memory, reset_peak_memory
from forgetting.pipeline.run.stage import StageOutcome
from forgetting.recipe import Stage
from forgetting.training.flops import StageFlops
from forgetting.training.row_cost import Uncounted, forward_cost
from forgetting.training.stage import StageResult


def transform_words(stage: Stage) -> str:
    """How messages name a stage's transform: `noise (alpha 0.3, beta 0.1)`."""
    given = ", ".join(f"{key} {value}" for key, value in (stage.transform or {}).items() if key != "name")
    return f"{stage.what} ({given})" if given else stage.what


def run_transform(
    stage: Stage,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Mapping[str, Sequence[Encoded]],
    *,
    folder: Path,
    seed: int,
    voice: Voice,
) -> StageOutcome:
    """Applies a stage's transform; interrupted, it is applied again to what the stage before left, with the same bits.

    Args:
        stage: one that transforms.
        model: as the stage before left it; it may be changed.
        data: encoded examples of the roles that the transform declares.
        folder: the stage's own.
        seed: of whatever the transform draws.

    Raises:
        ModelError: the transform left adapters on the model.
    """
    began = time.perf_counter()
    reset_peak_memory()
    voice.say(f"stage {stage.name}: transform {transform_words(stage)}, seed {seed}")
    whole = stage.transformation().apply(model, Given(seed, padding_id(tokenizer), data))
    if isinstance(whole, PeftModel):
        raise ModelError(f"stage '{stage.name}': the transform '{stage.what}' leaves adapters on the model; merge them")
    whole.eval()
    total = sum(p.numel() for p in whole.parameters())
    result = StageResult(
        steps=0,
        total=0,
        epochs=0.0,
        stopped="",
        message="",
        success=None,
        kept="the transformed model",
        kept_step=0,
        supervised_tokens=0,
        train_seconds=0.0,
    )
    cost = forward_cost(whole)
    flops = StageFlops(reason=cost.reason) if isinstance(cost, Uncounted) else StageFlops(forward=cost)
    ended = {**asdict(result), "trainable": 0, "of": total, "peak_memory_bytes": peak_memory(), "flops": asdict(flops)}
    seconds = time.perf_counter() - began
    on_first(lambda: write_text(folder / "prepared.json", json.dumps({"seconds": seconds})))
    on_first(lambda: write_text(folder / "result.json", json.dumps(ended)))
    return StageOutcome(whole, result, 0, total)
