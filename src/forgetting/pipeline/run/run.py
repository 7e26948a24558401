"""A recipe carried out into a run folder, stage by stage; started again, it goes on where it was."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import PreTrainedModel

from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import DataError, ModelError
from forgetting.core.example import Role
from forgetting.core.folder import write_text
from forgetting.core.measure import Measure
from forgetting.core.processes import first_holds, first_then_others, is_first, on_first, together
from forgetting.core.progress import SILENT, Voice
from forgetting.core.record import read_records
from forgetting.models.adapters import active_adapters, resolve_targets
from forgetting.models.composed import ComposedModel
from forgetting.models.devices import device_named
from forgetting.models.expression import load_expression
from forgetting.models.head import longest_row
from forgetting.models.loading import LoadedModel
from forgetting.models.quantised import has_quantised, quantised_words
from forgetting.pipeline.run.environment import check_trackers, tracker
from forgetting.pipeline.run.evaluator import Measurer
from forgetting.pipeline.run.export import save
from forgetting.pipeline.run.ownership import check_data, check_output, owned
from forgetting.pipeline.run.prepare import StageData, encode_stage, load_data
from forgetting.pipeline.run.records import Taken, cached
from forgetting.pipeline.run.reference_stage import set_aside
from forgetting.pipeline.run.select_tokens import check_selects, weighed
from forgetting.pipeline.run.source import model_source
from forgetting.pipeline.run.stage import (
    StageOutcome,
    finished,
    hand_over,
    handed_over,
    run_stage,
)
from forgetting.pipeline.run.suites import check_passages, stop_splits, suite_of
from forgetting.pipeline.run.teacher import check_references
from forgetting.pipeline.run.transform import run_transform
from forgetting.pipeline.run.write_results import write_results
from forgetting.recipe import Recipe, Stage
from forgetting.report.run.page import build_report
from forgetting.runs.redact import unquoted, with_texts
from forgetting.runs.results import Results
from forgetting.training.stage import Hooks, StageResult


@together()
def run(recipe: Recipe, *, voice: Voice = SILENT, report: bool = True) -> Path:
    """Carries a recipe out and returns its folder: model, records, `results.json`, `report.html`.

    A folder that holds the same recipe is gone on with; one that is finished is left as it is. Several processes
    (`torchrun`, `accelerate launch`) that all call this carry it out together; the first writes and speaks.

    Raises:
        ForgettingError: bad input, or a folder that holds another recipe or was begun with other data. Nothing is
            written before recipe, data, model and adapters are known to fit; an oracle that cannot be loaded leaves a
            folder that a corrected recipe may take over.
    """
    folder = recipe.folder
    voice = voice if is_first() else SILENT
    check_output(recipe)
    check_trackers(recipe)
    check_selects(recipe)
    check_references(recipe)
    if (folder / "results.json").is_file():
        with suppress(DataError):  # what is finished can be looked at without its data
            check_data(folder, load_data(recipe, SILENT))
        purged = Results.load(folder).purged
        state = f"purged on {purged[:10]}, model and numbers are left" if purged else "finished already"
        voice.say(f"{folder}: {state}; remove the folder to run it anew")
        if report and is_first() and not (folder / "report.html").is_file():
            build_report([folder], folder / "report.html")
        return folder
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    data = load_data(recipe, voice)
    asked = recipe
    loaded, recipe = loaded_for(recipe)
    encoded = {s.name: encode_stage(s, data[s.name], loaded.tokenizer, recipe.format, voice) for s in recipe.stages}
    suite = suite_of(recipe, data)
    check_stop_rules(recipe, suite)
    check_passages(suite, loaded.tokenizer)
    check_data(folder, data, suite)
    with first_holds(lambda: owned(asked, data, suite, device_of(recipe))) as redactor:
        voice.say(f"run {recipe.name}")
        if recipe.quantise:
            voice.say(quantised_words(loaded.model))
        before = cached(loaded.model, loaded.tokenizer, suite, recipe, voice)
        oracle = of_oracle(recipe, suite, voice)
        with unquoted(redactor):
            measurer = Measurer(
                folder, recipe, data, loaded.tokenizer, voice, before=before, oracle=oracle, redactor=redactor
            )
        measurer.fixed_points()
        _Carrier(recipe, data, loaded, encoded, measurer, voice).carry()
        by = recipe.oracle or _shipped(suite)
        on_first(lambda: write_results(folder, recipe, data, suite, oracle=by, redactor=redactor))
        if report:
            on_first(lambda: build_report([folder], folder / "report.html"))
    return folder


def load(name: str, recipe: Recipe) -> LoadedModel:
    """A model by folder, hub id, run, or the name of a suite that ships one; or a combination of such."""
    return load_expression(
        name,
        source=model_source,
        dtype=recipe.dtype,
        revision=recipe.revision,
        device=device_of(recipe),
        quantise=recipe.quantise,
    )


def loaded_for(recipe: Recipe) -> tuple[LoadedModel, Recipe]:
    """The model, checked for the adapters' targets, and the recipe with rows no longer than the model has positions."""
    loaded = load(recipe.model, recipe)
    if isinstance(loaded.model, ComposedModel):
        raise ModelError(f"{recipe.model}: a combination of models is measured, not trained; name one model")
    for stage in recipe.stages:
        if stage.adapter_or_full.kind != "full":
            resolve_targets(loaded.model, stage.adapter_or_full.targets)
    positions = longest_row(loaded.model)
    if positions is not None and positions < recipe.format.max_length:
        recipe = recipe.with_values({"format.max_length": positions})
    return loaded, recipe


def device_of(recipe: Recipe) -> str:
    """The recipe's device, or an accelerator if there is one."""
    return device_named(recipe.device)


def _shipped(suite: Suite) -> str | None:
    return f"{suite.oracle.name}, shipped with the suite" if suite.oracle is not None else None


def of_oracle(recipe: Recipe, suite: Suite, voice: Voice) -> Taken | None:
    """What the oracle gives on the suite: read, or taken from the model; None if there is no oracle."""
    name = recipe.oracle or (str(suite.oracle) if suite.oracle is not None else None)
    if name is None:
        return None
    if name.endswith(".jsonl"):
        return Taken(with_texts(name, read_records(Path(name))))
    oracle = load(name, recipe)
    return cached(oracle.model, oracle.tokenizer, suite, recipe, voice)


def check_stop_rules(recipe: Recipe, suite: Suite) -> None:
    """Every stage that has a stop rule measures what it compares."""
    for stage in recipe.stages:
        if stage.until is not None:
            stop_splits(stage, suite)


def model_changed(recipe: Recipe) -> bool:
    """Whether a stage before the last one changed the model's own weights, so that an adapter would not fit on them."""
    return any(s.leaves_a_whole_model for s in recipe.stages[:-1])


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
        for stage in self.recipe.stages:
            folder = self.measurer.folder / "stages" / stage.name
            seed = self.recipe.seed_of(stage)
            if stage.is_aside:
                model = self._set_aside(stage, model, folder, seed)
                continue
            owner = self.recipe.adapter_of(stage)
            adapter = None if owner == stage.name else owner
            if stage is not last and on_first(partial(finished, folder)):
                model = handed_over(stage, model, folder, seed, self.recipe.dtype, adapter)
                continue
            outcome = (
                self._stage(stage, model, folder, seed, adapter)
                if stage.trains
                else self._transform(stage, model, folder, seed)
            )
            if stage is last:
                on_first(partial(self._export, outcome))
            else:
                model = hand_over(stage, outcome, self.loaded.tokenizer, folder)

    @property
    def _cache(self) -> Path:
        return Path(self.recipe.output) / ".cache"

    def _set_aside(self, stage: Stage, model: PreTrainedModel, folder: Path, seed: int) -> PreTrainedModel:
        data, tokenizer = self.encoded[stage.name], self.loaded.tokenizer
        return set_aside(
            stage,
            model,
            tokenizer,
            data,
            folder=folder,
            cache=self._cache,
            seed=seed,
            voice=self.voice,
            redactor=self.measurer.redactor,
        )

    def _stage(
        self, stage: Stage, model: PreTrainedModel, folder: Path, seed: int, adapter: str | None
    ) -> StageOutcome:
        data = self.encoded[stage.name]
        if stage.select is not None:
            own = (stage, model, self.loaded.tokenizer, data[Role.TRAIN])
            scoring = partial(
                weighed,
                *own,
                data=self.data[stage.name],
                formatting=self.recipe.format,
                stages=self.measurer.folder / "stages",
                cache=self._cache,
                seed=seed,
                voice=self.voice,
                redactor=self.measurer.redactor,
            )
            train = first_then_others(scoring)
            data = {**data, Role.TRAIN: train}
        rule = self.measurer.rules[stage.name]
        if rule is not None:
            self.voice.say(f"stage {stage.name}: until {rule}")
        with tracker(self.recipe, stage) as track:
            hooks = Hooks(
                evaluate=_During(self.measurer, stage.name) if stage.evaluate_every is not None else None,
                score=lambda measures: next((m.value for m in measures if m.name == "balance"), None),
                reached=rule,
                alarm=self.measurer.alarm(stage) if stage.evaluate_every is not None else None,
                progress=self.voice.progress,
                track=track,
                say=self.voice.say,
            )
            outcome = run_stage(
                stage,
                model,
                self.loaded.tokenizer,
                data,
                folder=folder,
                cache=self._cache / "references",
                seed=seed,
                voice=self.voice,
                hooks=hooks,
                adapter=adapter,
            )
        if rule is not None:
            thresholds = json.dumps(asdict(rule.thresholds))
            on_first(lambda: write_text(folder / "thresholds.json", thresholds))
        self._measure_after(stage, outcome.model, outcome.result)
        return outcome

    def _transform(self, stage: Stage, model: PreTrainedModel, folder: Path, seed: int) -> StageOutcome:
        data, tokenizer = self.encoded[stage.name], self.loaded.tokenizer
        outcome = run_transform(stage, model, tokenizer, data, folder=folder, seed=seed, voice=self.voice)
        self._measure_after(stage, outcome.model, outcome.result)
        return outcome

    def _measure_after(self, stage: Stage, model: PreTrainedModel, result: StageResult) -> None:
        per_epoch = result.steps / result.epochs if result.epochs else 1.0
        step = result.kept_step
        if result.success is not None:
            how = "goal reached after" if result.success else "goal not reached within"
            self.voice.say(f"stage {stage.name}: {how} {result.epochs:g} epochs")
        self.voice.say(f"stage {stage.name}: kept {result.kept}; measuring")
        self.measurer.after(model, stage=stage.name, step=step, epoch=step / per_epoch)

    def _export(self, outcome: StageOutcome) -> None:
        """What the run gives: an adapter that plain PEFT loads, or a model that plain transformers loads."""
        folder, tokenizer, model = self.measurer.folder, self.loaded.tokenizer, outcome.model
        export = self.recipe.export if active_adapters(model) else "merged"
        if export == "adapter" and model_changed(self.recipe):
            self.voice.say("an earlier stage changed the model's own weights: the whole model is saved, not an adapter")
            export = "merged"
        if export in ("adapter", "both"):
            save(model, tokenizer, folder / "model")
        if export in ("merged", "both"):
            if has_quantised(model):
                self.voice.say(
                    "the adapter is merged into the whole base, loaded anew; it was trained beside 4 bits, so outputs "
                    "differ a little"
                )
            save(model, tokenizer, folder / ("model" if export == "merged" else "merged"), merge=True)


@dataclass(frozen=True)
class _During:
    """The evaluator that the loop is given."""

    measurer: Measurer
    stage: str

    def __call__(self, model: torch.nn.Module, *, step: int, epoch: float) -> list[Measure]:
        return list(self.measurer.during(model, stage=self.stage, step=step, epoch=epoch).measures)
