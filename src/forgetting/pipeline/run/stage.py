"""One stage of a recipe: adapter, reference, training, and what it leaves on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.folder import is_complete, recover, write_text
from forgetting.core.processes import first_then_others, on_first
from forgetting.core.progress import Voice
from forgetting.data.encode import Encoded
from forgetting.evaluation.answers import padding_id
from forgetting.models.adapters import (
    Initialisation,
    InitialisationData,
    active_adapters,
    attach,
    load_state,
    merged,
    resolve_targets,
    trainable_share,
)
from forgetting.models.loading import load_model, save_model
from forgetting.objectives.objective import Objective
from forgetting.pipeline.run.environment import peak_memory, reset_peak_memory
from forgetting.pipeline.run.teacher import teacher_of
from forgetting.recipe import Adapter, Stage
from forgetting.training.checkpoint import load_checkpoint
from forgetting.training.flops import stage_flops
from forgetting.training.loop import Trainer
from forgetting.training.preparation import prepare, rows_read
from forgetting.training.reference import LiveReference, Reference, no_reference
from forgetting.training.row_cost import preparation_cost, stage_cost
from forgetting.training.stage import Hooks, StageResult
from forgetting.training.stored_reference import store_reference


@dataclass(frozen=True)
class StageOutcome:
    """A finished stage: the model in memory, and what the results say of it."""

    model: PreTrainedModel
    result: StageResult
    trainable: int
    total: int


def adapter_words(adapter: Adapter) -> str:
    """How messages and reports name it."""
    if adapter.kind == "full":
        return "full"
    kind = {"lora": "LoRA", "qlora": "QLoRA", "curlora": "CURLoRA"}[adapter.kind]
    start = f" + {adapter.title}" if adapter.title else ""
    targets = adapter.targets if isinstance(adapter.targets, str) else "named"
    return f"{kind}{start}, rank {adapter.rank}, {targets} targets"


def run_stage(
    stage: Stage,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Mapping[str, Sequence[Encoded]],
    *,
    folder: Path,
    cache: Path,
    seed: int,
    voice: Voice,
    hooks: Hooks,
    adapter: str | None = None,
) -> StageOutcome:
    """Trains one stage, from its last checkpoint if it has one; the model comes back with its adapter active.

    Args:
        stage: method, adapter, optimisation.
        model: as the stage before left it.
        data: encoded examples of every role of the method.
        folder: the stage's own; checkpoints and history live here.
        cache: where stored references are shared between runs.
        seed: of the data's order, dropout and the adapter's start.
        adapter: the earlier stage whose adapter, active in `model`, is trained on; None: the stage's own.
    """
    began = time.perf_counter()
    reset_peak_memory()
    objective = stage.objective()
    pad_id = padding_id(tokenizer)
    before = active_adapters(model)
    chosen = stage.adapter_or_full
    init = chosen.initialisation if adapter is None else Initialisation()
    targets = resolve_targets(model, chosen.targets) if init.roles else ()
    importance = preparation_cost(model, init, targets)
    reference = None
    teacher = teacher_of(stage, model, folder.parent)
    stored = teacher is not None or stage.adapter_or_full.kind == "full" or adapter is not None
    if stored:
        reference = _stored_reference(teacher or model, objective, data, cache, pad_id, voice)
    del teacher
    if adapter is None:
        plain = model
        model = first_then_others(lambda: _with_adapter(stage, plain, data, folder, seed, pad_id, voice))
    if reference is None:
        reference = LiveReference(model, objective, before) if objective.needs_reference else no_reference
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = round(trainable / trainable_share(model)) if active_adapters(model) else trainable
    trainer = Trainer(
        model, objective, data, stage, folder=folder, pad_id=pad_id, seed=seed, reference=reference, hooks=hooks
    )
    voice.say(
        f"stage {stage.name}: {stage.method['name']}, {adapter_words(stage.adapter_or_full)} "
        f"({trainable:,} trainable, model of {total:,} weights), {trainer.total} steps"
    )
    on_first(lambda: _note_prepared(folder, time.perf_counter() - began))
    cost = stage_cost(model, objective, trainer.data, adapters=before, stored=stored)
    result = trainer.run()
    weighed = rows_read(init, data)
    flops = stage_flops(cost, trainer.plan, trainer.data, result.steps, importance=importance, weighed=weighed)
    ended = {**asdict(result), "trainable": trainable, "of": total, "peak_memory_bytes": peak_memory()}
    ended["flops"] = asdict(flops)
    on_first(lambda: write_text(folder / "result.json", json.dumps(ended)))
    return StageOutcome(model, result, trainable, total)


def _note_prepared(folder: Path, seconds: float) -> None:
    if not is_complete(folder / "last"):
        write_text(folder / "prepared.json", json.dumps({"seconds": seconds}))


def _stored_reference(
    model: PreTrainedModel,
    objective: Objective,
    data: Mapping[str, Sequence[Encoded]],
    cache: Path,
    pad_id: int,
    voice: Voice,
) -> Reference | None:
    """For weights that were the reference and are overwritten: what is asked of them is computed beforehand."""
    if not objective.needs_reference:
        return None
    device = next(model.parameters()).device
    return first_then_others(
        lambda: store_reference(model, objective, data, cache, pad_id=pad_id, device=device, say=voice.say)
    )


def _with_adapter(
    stage: Stage,
    model: PreTrainedModel,
    data: Mapping[str, Sequence[Encoded]],
    folder: Path,
    seed: int,
    pad_id: int,
    voice: Voice,
) -> PreTrainedModel:
    """The model ready to train; a stage that is resumed finds its start in its checkpoint."""
    adapter = stage.adapter_or_full
    spec = adapter.spec
    if recover(folder / "last"):
        voice.say(f"{folder / 'last'}: a half-written checkpoint was discarded; resuming from the one before")
    checkpoint = load_checkpoint(folder / "last")
    if checkpoint is not None:
        return attach(model, spec, name=stage.name, seed=seed, state=checkpoint.weights)
    read = InitialisationData(data, pad_id, voice.say, voice.progress)
    modules = resolve_targets(model, adapter.targets) if spec.init.roles else ()
    prepared = prepare(spec.init, model, modules, read, folder=folder / "importance", key=repr(adapter.init))
    return attach(model, spec, name=stage.name, seed=seed, prepared=prepared)


def finished(folder: Path) -> bool:
    """Whether a stage was trained, measured and handed over."""
    return (folder / "handed-over").is_file()


def hand_over(stage: Stage, outcome: StageOutcome, tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedModel:
    """The model as the next stage gets it: merged and on disk, where a resume and the next adapter find it."""
    model = outcome.model
    if stage.leaves_a_whole_model:
        model = merged(model)
        whole = model
        on_first(lambda: save_model(whole, tokenizer, folder / "model"))
        model.name_or_path = str(folder / "model")
    on_first(lambda: write_text(folder / "handed-over", ""))
    return model


def handed_over(
    stage: Stage, model: PreTrainedModel, folder: Path, seed: int, dtype: str, adapter: str | None = None
) -> PreTrainedModel:
    """The same after a restart; `adapter` as for `run_stage`."""
    if not stage.leaves_a_whole_model:
        checkpoint = load_checkpoint(folder / ("best" if is_complete(folder / "best") else "last"))
        assert checkpoint is not None, "a finished stage has a checkpoint"
        if adapter is None:
            return attach(model, stage.adapter_or_full.spec, name=stage.name, seed=seed, state=checkpoint.weights)
        load_state(model, checkpoint.weights)
        return model
    return load_model(folder / "model", dtype=dtype, device=next(model.parameters()).device).model
