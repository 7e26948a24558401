"""A recipe carried out into a run folder, stage by stage; started again, it goes on where it was."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from forgetting.benchmarks.registry import MODELS
from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import RecipeError, RunError
from forgetting.core.folder import is_complete, write_text
from forgetting.core.measure import Measure
from forgetting.core.record import Record, read_records
from forgetting.data.plan import StepPlan
from forgetting.models.adapters import active_adapters, resolve_targets
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel, load_model
from forgetting.pipeline.environment import check_trackers, environment, tracker
from forgetting.pipeline.measuring import Measurer, cached_records, suite_of
from forgetting.pipeline.prepare import StageData, digest, encode_roles, load_data
from forgetting.pipeline.results import Selection, write_results
from forgetting.pipeline.save import save
from forgetting.pipeline.stages import (
    StageOutcome,
    adapter_words,
    finished,
    hand_over,
    handed_over,
    run_stage,
    spec_of,
)
from forgetting.pipeline.voice import SILENT, Voice
from forgetting.recipe import Recipe, Stage
from forgetting.report.build import build_report
from forgetting.training.loop import Hooks, StageResult


def run(recipe: Recipe, *, voice: Voice = SILENT, selection: Selection | None = None, report: bool = True) -> Path:
    """Carries a recipe out and returns its folder: model, records, `results.json`, `report.html`.

    A folder that holds the same recipe is gone on with; one that is finished is left as it is.

    Raises:
        ForgettingError: bad input, or a folder that holds another recipe or was begun with other data. Nothing is
            written before recipe, data, model and adapters are known to fit; an oracle that cannot be loaded leaves a
            folder that a corrected recipe may take over.
    """
    folder = recipe.folder
    _check_output(recipe)
    check_trackers(recipe)
    if (folder / "results.json").is_file():
        voice.say(f"{folder}: finished already; remove the folder to run it anew")
        if report and not (folder / "report.html").is_file():
            build_report([folder], folder / "report.html")
        return folder
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    data = load_data(recipe, voice)
    _check_data(folder, data)
    asked = recipe
    loaded, recipe = _loaded(recipe)
    encoded = {
        s.name: encode_roles(data[s.name], s.roles, loaded.tokenizer, recipe.format, voice) for s in recipe.stages
    }
    suite, fast = suite_of(recipe, data), suite_of(recipe, data, fast=True)
    with _owned(asked, data):
        voice.say(f"run {recipe.name}")
        before = cached_records(loaded.model, loaded.tokenizer, suite, recipe, voice)
        oracle = oracle_records(recipe, suite, voice)
        measurer = Measurer(folder, recipe, suite, fast, loaded.tokenizer, voice, before=before, oracle=oracle)
        measurer.fixed_points()
        _Carrier(recipe, data, loaded, encoded, measurer, voice).carry()
        write_results(folder, recipe, data, suite, oracle=recipe.oracle or _shipped(suite), selection=selection)
        if report:
            build_report([folder], folder / "report.html")
    return folder


def load(name: str, recipe: Recipe) -> LoadedModel:
    """A model by folder, hub id, or the name of a suite that ships one."""
    source = MODELS.get(name, name)
    return load_model(source, dtype=recipe.dtype, revision=recipe.revision, device=_device(recipe))


def _loaded(recipe: Recipe) -> tuple[LoadedModel, Recipe]:
    """The model, checked for the adapters' targets, and the recipe with rows no longer than the model has positions."""
    loaded = load(recipe.model, recipe)
    for stage in recipe.stages:
        if stage.adapter_or_full.kind == "lora":
            resolve_targets(loaded.model, spec_of(stage.adapter_or_full).targets)
    positions = longest_row(loaded.model)
    if positions is not None and positions < recipe.format.max_length:
        recipe = recipe.model_copy(update={"format": recipe.format.model_copy(update={"max_length": positions})})
    return loaded, recipe


def _device(recipe: Recipe) -> str:
    if recipe.device is not None:
        try:
            kind = torch.device(recipe.device).type
        except RuntimeError as error:
            raise RecipeError(f"device: '{recipe.device}' is not a device; write cpu, cuda or cuda:1") from error
        if kind == "cuda" and not torch.cuda.is_available():
            raise RecipeError(f"device: '{recipe.device}', but this torch finds no CUDA device; leave the key out")
        return recipe.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _shipped(suite: Suite) -> str | None:
    return f"{suite.oracle.name}, shipped with the suite" if suite.oracle is not None else None


def oracle_records(recipe: Recipe, suite: Suite, voice: Voice) -> list[Record] | None:
    """The oracle's records on the suite: read, or taken from the model; None if there is no oracle."""
    name = recipe.oracle or (str(suite.oracle) if suite.oracle is not None else None)
    if name is None:
        return None
    if name.endswith(".jsonl"):
        return read_records(Path(name))
    oracle = load(name, recipe)
    return cached_records(oracle.model, oracle.tokenizer, suite, recipe, voice)


def _check_output(recipe: Recipe) -> None:
    """The folder must be new, hold this recipe, or hold one that never came to train."""
    file = recipe.folder / "recipe.yaml"
    if file.is_file() and _trained(recipe.folder) and file.read_text(encoding="utf-8") != recipe.to_yaml():
        raise RunError(f"{recipe.folder}: holds a run of another recipe; write another name=… or remove the folder")
    if not file.is_file() and recipe.folder.is_dir() and any(recipe.folder.iterdir()):
        raise RunError(f"{recipe.folder}: is not empty and not a run; write another name=… or output=…")


def _trained(folder: Path) -> bool:
    return any(is_complete(last) for last in folder.glob("stages/*/last"))


def _digests(data: dict[str, StageData]) -> dict[str, dict[str, str]]:
    return {stage: {role: digest(found) for role, found in d.examples.items()} for stage, d in data.items()}


def _check_data(folder: Path, data: dict[str, StageData]) -> None:
    """A run that has trained goes on with the data it began with, or not at all."""
    file = folder / "data.json"
    if not (file.is_file() and _trained(folder)):
        return
    for stage, roles in json.loads(file.read_text()).items():
        for role, began_with in roles.items():
            if _digests(data).get(stage, {}).get(role) != began_with:
                raise RunError(
                    f"{folder}: its {role} data have changed since it began; put them back, or write another name=…"
                )


@contextmanager
def _owned(recipe: Recipe, data: dict[str, StageData]) -> Iterator[None]:
    """The run folder, for one process at a time; what a run that never came to train left there is cleared."""
    folder = recipe.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}); choose another output=…") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder}: another process is at work in this folder") from None
        if not _trained(folder):
            for left in ("evaluations", "records"):
                shutil.rmtree(folder / left, ignore_errors=True)
        write_text(folder / "recipe.yaml", recipe.to_yaml())
        write_text(folder / "data.json", json.dumps(_digests(data), indent=1))
        write_text(folder / "environment.json", json.dumps(environment(_device(recipe)), indent=1))
        yield
    (folder / ".lock").unlink(missing_ok=True)


@dataclass
class _Carrier:
    """Goes through the stages."""

    recipe: Recipe
    data: dict[str, StageData]
    loaded: LoadedModel
    encoded: dict
    measurer: Measurer
    voice: Voice

    def carry(self) -> None:
        """Every stage that is not finished yet, then the model as it is at the end."""
        model = self.loaded.model
        last = self.recipe.stages[-1]
        for index, stage in enumerate(self.recipe.stages):
            folder = self.measurer.folder / "stages" / stage.name
            seed = self.recipe.seed + index
            if stage is not last and finished(folder):
                model = handed_over(stage, model, folder, seed, self.recipe.dtype)
                continue
            outcome = self._stage(stage, model, folder, seed)
            if stage is last:
                self._export(outcome)
            else:
                model = hand_over(stage, outcome, self.loaded.tokenizer, folder)

    def _stage(self, stage: Stage, model: PreTrainedModel, folder: Path, seed: int) -> StageOutcome:
        with tracker(self.recipe, stage) as track:
            hooks = Hooks(
                evaluate=_During(self.measurer, stage.name) if stage.evaluate_every is not None else None,
                score=lambda measures: next((m.value for m in measures if m.name == "balance"), None),
                progress=self.voice.progress,
                track=track,
                say=self.voice.say,
            )
            outcome = run_stage(
                stage,
                model,
                self.loaded.tokenizer,
                self.encoded[stage.name],
                folder=folder,
                cache=Path(self.recipe.output) / ".cache" / "references",
                seed=seed,
                voice=self.voice,
                hooks=hooks,
            )
        self._measure_after(stage, outcome.model, outcome.result)
        return outcome

    def _measure_after(self, stage: Stage, model: PreTrainedModel, result: StageResult) -> None:
        per_epoch = result.steps / result.epochs if result.epochs else 1.0
        step = result.kept_step
        self.voice.say(f"stage {stage.name}: kept {result.kept}; measuring")
        self.measurer.after(model, stage=stage.name, step=step, epoch=step / per_epoch)

    def _export(self, outcome: StageOutcome) -> None:
        """What the run gives: an adapter that plain PEFT loads, or a model that plain transformers loads."""
        folder, tokenizer, model = self.measurer.folder, self.loaded.tokenizer, outcome.model
        export = self.recipe.export if active_adapters(model) else "merged"
        if export in ("adapter", "both"):
            save(model, tokenizer, folder / "model")
        if export in ("merged", "both"):
            save(model, tokenizer, folder / ("model" if export == "merged" else "merged"), merge=True)


@dataclass(frozen=True)
class _During:
    """The evaluator that the loop is given."""

    measurer: Measurer
    stage: str

    def __call__(self, model: torch.nn.Module, *, step: int, epoch: float) -> list[Measure]:
        return list(self.measurer.during(model, stage=self.stage, step=step, epoch=epoch).measures)


def check(recipe: Recipe, *, voice: Voice = SILENT) -> list[str]:
    """What `run` would do, in lines: data, encoded tokens and steps of every stage. Nothing is written.

    Raises:
        ForgettingError: what `run` would raise before it starts.
    """
    _check_output(recipe)
    check_trackers(recipe)
    data = load_data(recipe, voice)
    loaded, recipe = _loaded(recipe)
    lines = [f"model: {recipe.model}, {sum(p.numel() for p in loaded.model.parameters()):,} weights"]
    for stage in recipe.stages:
        encoded = encode_roles(data[stage.name], list(stage.roles), loaded.tokenizer, recipe.format, voice)
        for role, members in encoded.items():
            tokens = sum(e.supervised for e in members)
            lines.append(f"{stage.name}: {len(members)} {role} rows, {tokens:,} supervised tokens")
        first = encoded[stage.roles[0]]
        per_epoch = StepPlan({stage.roles[0]: len(first)}, stage.batch_size, recipe.seed).steps_per_epoch
        total = stage.duration.steps(steps_per_epoch=per_epoch, tokens_per_epoch=sum(e.supervised for e in first))
        lines.append(f"{stage.name}: {total} steps, {per_epoch} per epoch, {adapter_words(stage.adapter_or_full)}")
    suite = suite_of(recipe, data)
    lines.append(f"measures: {suite.name}, " + ", ".join(f"{len(s.examples)} {s.name}" for s in suite.splits))
    return lines
