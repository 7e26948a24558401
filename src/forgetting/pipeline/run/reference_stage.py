"""Trains a reference adapter once and shares it between the runs of an output folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from peft.utils import SAFETENSORS_WEIGHTS_NAME
from transformers import PreTrainedModel

from forgetting.core.digest import digest
from forgetting.core.errors import RunError
from forgetting.core.folder import damage, is_complete, write_text
from forgetting.core.processes import on_first
from forgetting.models.adapters import active_adapters, without
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.export import save
from forgetting.pipeline.run.stage import run_stage
from forgetting.runs.paths import StagePaths
from forgetting.runs.stage_folder import StageFolder
from forgetting.training.stage import Hooks
from forgetting.training.stored_reference import data_fingerprint, fingerprint


def set_aside(context: StageContext, model: PreTrainedModel) -> PreTrainedModel:
    """Trains the stage, or reuses a trained one, and returns the unchanged model; the adapter is in the stage's folder.

    A trained adapter is keyed by the model's weights, the encoded data, the stage's settings and the seed. If another
    run is training it, this one waits.
    """
    stage, voice = context.stage, context.voice
    key = _key(context, model)
    if context.folder.is_handed_over(key) and on_first(lambda: _is_whole(context.folder)):
        return model
    waiting = f"stage {stage.name}: another run is training it; waiting"
    with context.output.stages.entry(key, wait=lambda: voice.say(waiting)) as entry:
        shared = replace(context, folder=StageFolder(entry.folder))
        if entry.is_complete(voice.say):
            voice.say(f"stage {stage.name}: found trained ({entry.folder})")
        else:
            before = active_adapters(model)
            outcome = run_stage(shared, model, Hooks(progress=voice.progress, say=voice.say))
            on_first(lambda: save(outcome.model, context.tokenizer, shared.folder.model))
            entry.complete(1, _kept(shared.folder))
            added = tuple(name for name in active_adapters(outcome.model) if name not in before)
            model = without(outcome.model, added).eval()
        on_first(lambda: _copy(shared.folder, context.folder))
    context.folder.hand_over(key)
    return model


def _numbers(folder: StagePaths) -> tuple[Path, ...]:
    """The files of the stage that a run keeps in addition to the adapter."""
    return folder.result_file, folder.prepared_file, folder.history_file


def _kept(folder: StagePaths) -> list[str]:
    """The names of all files of a trained reference; empty if there are none yet."""
    files = [*_numbers(folder), *(file for file in folder.model.rglob("*") if file.is_file())]
    return [file.relative_to(folder.path).as_posix() for file in files]


def _copy(shared: StagePaths, own: StagePaths) -> None:
    for source, target in zip(_numbers(shared), _numbers(own), strict=True):
        write_text(target, source.read_text(encoding="utf-8"))
    shutil.rmtree(own.model, ignore_errors=True)
    shutil.copytree(shared.model, own.model)


def _is_whole(folder: StageFolder) -> bool:
    """Whether the run has all files of the trained reference, as they were written."""
    files = [*_numbers(folder), folder.model / SAFETENSORS_WEIGHTS_NAME]
    if not (is_complete(folder.model) and all(file.is_file() for file in files)) or damage(folder.model):
        return False
    try:
        folder.prepared_seconds()
        folder.history(folder.result().history_sha256)
    except RunError:
        return False
    return True


def _key(context: StageContext, model: PreTrainedModel) -> str:
    settings = context.stage.model_dump_json(exclude={"data", "part", "evaluate_every", "checkpoint_every"})
    return digest(fingerprint(model), data_fingerprint(context.data), settings, context.seed)
