"""Runs one stage of a recipe: adapter, reference, training, and files."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from transformers import PreTrainedModel

from forgetting.core.folder import is_complete, recover
from forgetting.core.processes import first_then_others, on_first
from forgetting.models.adapters import (
    Initialisation,
    InitialisationData,
    active_adapters,
    attach,
    coverage,
    load_state,
    merged,
    resolve_targets,
    trainable_share,
)
from forgetting.models.loading import load_model, save_model
from forgetting.objectives.objective import Objective
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.environment import peak_memory, reset_peak_memory
from forgetting.pipeline.run.teacher import teacher_of
from forgetting.recipe import Adapter, Stage
from forgetting.runs.paths import StagePaths
from forgetting.runs.stage_result import StageResult
from forgetting.training.checkpoint import load_checkpoint
from forgetting.training.flops import stage_flops
from forgetting.training.loop import Trainer
from forgetting.training.preparation import prepare, rows_read
from forgetting.training.reference import LiveReference, Reference, no_reference
from forgetting.training.row_counts import preparation_cost, stage_cost
from forgetting.training.stage import Hooks
from forgetting.training.stored_reference import store_reference


@dataclass(frozen=True)
class StageOutcome:
    """A finished stage: the model in memory, and its results."""

    model: PreTrainedModel
    result: StageResult


def adapter_words(adapter: Adapter, *, whole: bool = True) -> str:
    """Its name in messages and reports.

    Args:
        whole: whether it can be put on every matrix of the model's decoder.
    """
    if adapter.kind == "full":
        return "full"
    if adapter.kind == "rows":
        return f"the rows of {', '.join(adapter.tokens)}"
    kind = {"lora": "LoRA", "qlora": "QLoRA", "curlora": "CURLoRA"}[adapter.kind]
    start = f" + {adapter.title}" if adapter.title else ""
    targets = f"{adapter.targets if isinstance(adapter.targets, str) else 'named'} targets"
    if not whole and adapter.targets == "all":
        targets = "all linear layers"
    return f"{kind}{start}, rank {adapter.rank}, {targets}"


def run_stage(context: StageContext, model: PreTrainedModel, hooks: Hooks) -> StageOutcome:
    """Trains one stage, from its last checkpoint if it has one; the returned model has the stage's adapter active.

    Args:
        context: the stage, its data and its folder.
        model: the model after the stage before.
        hooks: evaluation, stop rule, progress and trackers.
    """
    began = time.perf_counter()
    reset_peak_memory()
    stage, voice = context.stage, context.voice
    adapter = stage.adapter_or_full
    objective = stage.objective()
    before = active_adapters(model)
    init = adapter.initialisation if context.adapter is None else Initialisation()
    targets = resolve_targets(model, adapter.targets) if init.roles else ()
    covered = _coverage(context, model)
    words = adapter_words(adapter, whole=not covered)
    importance = preparation_cost(model, init, targets)
    stored, reference = _stored_reference(context, model, objective)
    if context.adapter is None:
        plain = model
        model = first_then_others(lambda: _with_adapter(context, plain))
    if reference is None:
        reference = LiveReference(model, objective, before) if objective.needs_reference else no_reference
    trainable, total = _counted(model)
    trainer = _trainer(context, model, objective, reference, hooks)
    voice.say(
        f"stage {stage.name}: {stage.method['name']}, {words} "
        f"({trainable:,} trainable, model of {total:,} weights), {trainer.total} step"
        f"{'s' if trainer.total != 1 else ''}"
    )
    if covered:
        voice.say(f"warning: stage {stage.name}: {covered}")
    context.folder.write_prepared(time.perf_counter() - began, trainer.total)
    cost = stage_cost(model, objective, trainer.data, adapters=before, stored=stored)
    ending = trainer.run()
    weighed = rows_read(init, context.data)
    flops = stage_flops(cost, trainer.plan, trainer.data, ending.steps, importance=importance, weighed=weighed)
    result = StageResult(
        **asdict(ending),
        name=stage.name,
        method=stage.method["name"],
        adapter=words,
        coverage=covered,
        learning_rate=stage.learning_rate,
        trainable=trainable,
        of=total,
        peak_memory_bytes=peak_memory(),
        flops=asdict(flops),
    )
    context.folder.write_result(result)
    return StageOutcome(model, result)


def _coverage(context: StageContext, model: PreTrainedModel) -> str:
    """How much of the decoder the stage's adapter is on, if there are matrices that it cannot be put on."""
    adapter = context.stage.adapter_or_full
    if adapter.is_inside:
        return ""
    covered = coverage(model, resolve_targets(model, adapter.targets))
    return str(covered) if covered.out_of_reach else ""


def _trainer(
    context: StageContext, model: PreTrainedModel, objective: Objective, reference: Reference, hooks: Hooks
) -> Trainer:
    return Trainer(
        model,
        objective,
        context.data,
        context.stage,
        folder=context.folder.path,
        pad_id=context.pad_id,
        seed=context.seed,
        reference=reference,
        turns=context.turns,
        hooks=hooks,
    )


def _counted(model: PreTrainedModel) -> tuple[int, int]:
    """How many weights are trained, and how many the model has without adapters."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, round(trainable / trainable_share(model)) if active_adapters(model) else trainable


def _stored_reference(
    context: StageContext, model: PreTrainedModel, objective: Objective
) -> tuple[bool, Reference | None]:
    """Whether the reference is another model or training overwrites its weights; then what it gives, computed before.

    A teacher is freed before training.
    """
    stage = context.stage
    teacher = teacher_of(stage, model, context.tokenizer, context.earlier, context.start)
    stored = teacher is not None or stage.adapter_or_full.kind == "full" or context.adapter is not None
    if not (stored and objective.needs_reference):
        return stored, None
    return True, store_reference(
        teacher or model,
        objective,
        context.data,
        context.output.references,
        pad_id=context.pad_id,
        say=context.voice.say,
    )


def _with_adapter(context: StageContext, model: PreTrainedModel) -> PreTrainedModel:
    """The model ready to train; a resumed stage has the adapter's initial value in its checkpoint."""
    stage, last = context.stage, context.folder.last
    adapter = stage.adapter_or_full
    if recover(last):
        context.voice.say(f"{last}: a half-written checkpoint was discarded; resuming from the one before")
    checkpoint = load_checkpoint(last)
    if checkpoint is not None:
        return attach(
            model,
            adapter.spec,
            name=stage.name,
            seed=context.seed,
            state=checkpoint.weights,
            tokenizer=context.tokenizer,
        )
    init = adapter.initialisation
    read = InitialisationData(context.data, context.pad_id, context.voice.say, context.voice.progress)
    modules = resolve_targets(model, adapter.targets) if init.roles else ()
    prepared = prepare(init, model, modules, read, cache=context.output.initialisations, key=repr(adapter.init))
    return attach(
        model, adapter.spec, name=stage.name, seed=context.seed, prepared=prepared, tokenizer=context.tokenizer
    )


def hand_over(context: StageContext, outcome: StageOutcome) -> PreTrainedModel:
    """The model for the next stage: merged and written to disk, for resumed runs and the next adapter."""
    model, stage = outcome.model, context.stage
    if stage.leaves_a_whole_model:
        model = merged(model)
        whole = model
        on_first(lambda: save_model(whole, context.tokenizer, context.folder.model))
        model.name_or_path = str(context.folder.model)
    context.folder.hand_over()
    return model


def handed_over(context: StageContext, model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """The same after a restart."""
    stage, folder = context.stage, context.folder
    if stage.leaves_a_whole_model:
        return load_model(folder.model, dtype=dtype, device=next(model.parameters()).device).model
    return with_trained(model, stage, folder, context.seed, own=context.adapter is None)


def with_trained(model: PreTrainedModel, stage: Stage, folder: StagePaths, seed: int, *, own: bool) -> PreTrainedModel:
    """The model with the adapter that a finished stage trained.

    Args:
        model: the stage's initial model.
        stage: the stage in the recipe.
        folder: the folder of its checkpoints.
        seed: of the adapter's initialisation.
        own: whether the adapter is the stage's own; else it is already in the model and gets the trained weights.
    """
    checkpoint = load_checkpoint(folder.best if is_complete(folder.best) else folder.last)
    assert checkpoint is not None, "a finished stage has a checkpoint"
    if own:
        return attach(model, stage.adapter_or_full.spec, name=stage.name, seed=seed, state=checkpoint.weights)
    load_state(model, checkpoint.weights)
    return model
