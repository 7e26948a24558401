"""A stage whose adapter is set aside for others to read, trained once for all runs that share an output folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from peft.utils import SAFETENSORS_WEIGHTS_NAME
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.core.folder import is_complete, recover, write_text
from forgetting.core.processes import first_holds, on_first
from forgetting.core.progress import Voice
from forgetting.data.encode import Encoded
from forgetting.models.adapters import active_adapters, without
from forgetting.pipeline.run.export import save
from forgetting.pipeline.run.ownership import locked
from forgetting.pipeline.run.stage import run_stage
from forgetting.recipe import Stage
from forgetting.runs.redact import Redactor
from forgetting.training.stage import Hooks
from forgetting.training.stored_reference import data_fingerprint, fingerprint

KEPT = ("result.json", "prepared.json", "history.jsonl")
"""What a run keeps of the stage beside its adapter."""


def set_aside(
    stage: Stage,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Mapping[str, Sequence[Encoded]],
    *,
    folder: Path,
    cache: Path,
    seed: int,
    voice: Voice,
    redactor: Redactor | None = None,
) -> PreTrainedModel:
    """Trains the stage, or finds it trained, and gives the model back as it was; the adapter is in `folder / "model"`.

    What was trained is found by the model's weights, the encoded data, the stage's settings and the seed.

    Args:
        folder: the stage's own in its run.
        cache: where trained stages are shared between runs; another run at work on this one is waited for.
    """
    key = _key(stage, model, data, seed)
    told = key if redactor is None else redactor.hash("stage", key)
    if on_first(lambda: _handed_over(folder)) == told:
        return model
    shared = cache / "stages" / key
    waiting = f"stage {stage.name}: another run is training it; waiting"
    with first_holds(lambda: locked(shared, wait=lambda: voice.say(waiting))):
        on_first(lambda: recover(shared / "model"))
        if on_first(lambda: _whole(shared)):
            voice.say(f"stage {stage.name}: found trained ({shared})")
        else:
            before = active_adapters(model)
            hooks = Hooks(progress=voice.progress, say=voice.say)
            outcome = run_stage(
                stage,
                model,
                tokenizer,
                data,
                folder=shared,
                cache=cache / "references",
                seed=seed,
                voice=voice,
                hooks=hooks,
            )
            on_first(lambda: save(outcome.model, tokenizer, shared / "model"))
            added = tuple(name for name in active_adapters(outcome.model) if name not in before)
            model = without(outcome.model, added).eval()
        on_first(lambda: _copy(shared, folder))
    on_first(lambda: write_text(folder / "handed-over", told))
    return model


def _copy(shared: Path, folder: Path) -> None:
    """What the run keeps of the stage."""
    for name in KEPT:
        write_text(folder / name, (shared / name).read_text(encoding="utf-8"))
    shutil.rmtree(folder / "model", ignore_errors=True)
    shutil.copytree(shared / "model", folder / "model")


def _handed_over(folder: Path) -> str | None:
    """Which adapter the run has of the stage, by its key; None: none, or not all of it."""
    file = folder / "handed-over"
    return file.read_text(encoding="utf-8") if file.is_file() and _whole(folder) else None


def _whole(folder: Path) -> bool:
    """Whether everything is there that is kept of a trained stage."""
    files = [*(folder / name for name in KEPT), folder / "model" / SAFETENSORS_WEIGHTS_NAME]
    return is_complete(folder / "model") and all(file.is_file() for file in files)


def _key(stage: Stage, model: PreTrainedModel, data: Mapping[str, Sequence[Encoded]], seed: int) -> str:
    settings = stage.model_dump_json(exclude={"data", "part", "evaluate_every", "checkpoint_every"})
    said = (fingerprint(model), data_fingerprint(data), settings, seed)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]
