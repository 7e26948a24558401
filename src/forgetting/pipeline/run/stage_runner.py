"""Runs the stages of a recipe one after the other, each on the model after the one before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from transformers import PreTrainedModel

from forgetting.core.example import Role
from forgetting.core.measure import Measure
from forgetting.core.processes import by_first, first_then_others, on_first
from forgetting.core.progress import Voice
from forgetting.data.encode import Encoded
from forgetting.metrics.damage import damaged
from forgetting.models.adapters import active_adapters, joined, merged
from forgetting.models.quantised import has_quantised
from forgetting.pipeline.run.context import StageContext
from forgetting.pipeline.run.evaluator import Measurer
from forgetting.pipeline.run.export import save
from forgetting.pipeline.run.judge import Judge, PrunedError, balances
from forgetting.pipeline.run.load import load
from forgetting.pipeline.run.prepared import Prepared
from forgetting.pipeline.run.reference_stage import set_aside
from forgetting.pipeline.run.select_tokens import weighed
from forgetting.pipeline.run.stage import StageOutcome, hand_over, handed_over, run_stage
from forgetting.pipeline.run.stop_rule import StopRule
from forgetting.pipeline.run.to_reference import distance_of
from forgetting.pipeline.run.tracking import Tracking
from forgetting.pipeline.run.transform import run_transform
from forgetting.recipe import Recipe, Stage
from forgetting.report.verdict.stop_rule import Seen, goal_words, said
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.training.stage import Hooks

Export = Literal["adapter", "merged", "both"]


@dataclass(frozen=True)
class StageRunner:
    """Trains, measures and exports according to a recipe, into an opened run folder."""

    prepared: Prepared
    folder: RunFolder
    measurer: Measurer
    voice: Voice
    judge: Judge | None = None
    """Ends the run in the middle of its last stage; None: nothing does."""
    tracking: Tracking = field(default_factory=Tracking)
    """Is told of every step and evaluation."""

    def run(self) -> None:
        """Runs every stage that is not finished yet, then saves the final model."""
        recipe, model = self.prepared.recipe, self.prepared.loaded.model
        last = recipe.stages[-1]
        for stage in recipe.stages:
            context = self._context(stage)
            if stage.is_aside:
                model = set_aside(context, model)
            elif stage is last:
                outcome = self._outcome(context, model)
                export = self._export_of(outcome.model)
                delivered = as_saved(outcome.model, export)
                self._measure_after(context, replace(outcome, model=delivered))
                by_first(partial(self._export, delivered, export))
            elif context.folder.is_handed_over():
                model = handed_over(context, model, recipe.dtype)
            else:
                outcome = self._outcome(context, model)
                whole = merged(outcome.model) if stage.leaves_a_whole_model else outcome.model
                self._measure_after(context, outcome := replace(outcome, model=whole))
                model = hand_over(context, outcome)

    def _context(self, stage: Stage) -> StageContext:
        recipe = self.prepared.recipe
        owner = recipe.adapter_of(stage)
        return StageContext(
            stage=stage,
            tokenizer=self.prepared.loaded.tokenizer,
            data=self.prepared.encoded[stage.name],
            folder=self.folder.stage(stage.name),
            output=self.folder.output,
            seed=recipe.seed_of(stage),
            voice=self.voice,
            turns=self.prepared.data[stage.name].turns,
            earlier=self.folder.stage,
            start=lambda: load(recipe.model, recipe).model,
            adapter=None if stage.is_aside or owner == stage.name else owner,
        )

    def _outcome(self, context: StageContext, model: PreTrainedModel) -> StageOutcome:
        return self._train(context, model) if context.stage.trains else run_transform(context, model)

    def _train(self, context: StageContext, model: PreTrainedModel) -> StageOutcome:
        stage = context.stage
        if stage.select is not None:
            train = first_then_others(lambda: self._weighed(context, model))
            context = replace(context, data={**context.data, Role.TRAIN: train})
        suites = (self.measurer.suite, self.measurer.during_suite(stage))
        distance = distance_of(context, model, suites, self.prepared.recipe.format)
        if distance is not None:
            self.measurer.compare(stage, distance)
        rule = self.measurer.rule(stage)
        if rule is not None:
            self.voice.say(f"stage {stage.name}: until {rule}")
        self._track(stage)
        hooks = Hooks(
            evaluate=_During(self.measurer, stage.name, rule, self.voice, self._judge_of(stage), self.tracking)
            if stage.evaluate_every is not None
            else None,
            score=lambda measures: next((m.value for m in measures if m.name == "balance"), None),
            reached=rule.ends if rule is not None else None,
            forgotten=rule.held_back if rule is not None else lambda measures: False,
            alarm=self.measurer.alarm(stage) if stage.evaluate_every is not None else None,
            progress=self.voice.progress,
            track=self.tracking.step,
            say=self.voice.say,
        )
        outcome = run_stage(context, model, hooks)
        if rule is not None and rule.goal.thresholds is not None:
            context.folder.write_thresholds(rule.goal.thresholds)
        return outcome

    def _track(self, stage: Stage) -> None:
        """Tells the trackers which stage is next; those before it have all ended."""
        if self.tracking.trackers:
            stages = self.prepared.recipe.stages
            earlier = stages[: stages.index(stage)]
            self.tracking.begin(stage.name, sum(self.folder.stage(s.name).result().steps for s in earlier))

    def _judge_of(self, stage: Stage) -> Judge | None:
        return self.judge if stage is self.prepared.recipe.stages[-1] else None

    def _weighed(self, context: StageContext, model: PreTrainedModel) -> list[Encoded]:
        stage = context.stage
        assert stage.select is not None
        formatting = stage.formatting(self.prepared.recipe.format.trained)
        reference = stage.select.reference if stage.reads is None else self.folder.stage(stage.reads).model
        return weighed(context, model, self.prepared.data[stage.name], formatting, reference)

    def _measure_after(self, context: StageContext, outcome: StageOutcome) -> None:
        """Measures the model after the stage, and judges the stage by the full suite."""
        stage, result = context.stage, outcome.result
        per_epoch = result.steps / result.epochs if result.epochs else 1.0
        step = result.kept_step
        self.voice.say(f"stage {stage.name}: kept {result.kept}; measuring")
        after = self.measurer.after(outcome.model, stage=stage.name, step=step, epoch=step / per_epoch)
        self._track(stage)
        self.tracking.evaluated(replace(after, step=result.steps))
        rule = self.measurer.final_rule(stage)
        if rule is not None:
            success = bool(result.success) and rule(after.measures)
            result = replace(result, success=success, damaged=rule.damaged(after.measures))
        if stage.trains and stage.forgets:
            result = replace(result, moved=self.measurer.movement(stage, after))
        if result != outcome.result:
            context.folder.write_result(result)
        thresholds = rule.goal.thresholds if rule is not None else None
        before, declared = self.measurer.before, self.measurer.suite.declared(stage.name)
        seen = Seen(after, before, self._begun(stage), harmed=bool(damaged(declared, before.measures, after.measures)))
        for line in said(replace(result, goal=stage.until or "", thresholds=thresholds), seen):
            self.voice.say(line)

    def _begun(self, stage: Stage) -> Evaluation | None:
        """The model before a stage, if another stage had left that."""
        names = [s.name for s in self.prepared.recipe.stages]
        ends = [Evaluation(point="after", stage=name) for name in names[: names.index(stage.name)]]
        return next((found for end in reversed(ends) if (found := self.folder.evaluations.find(end))), None)

    def _export_of(self, model: PreTrainedModel) -> Export:
        """How the final model is saved: an adapter only where plain PEFT gives it back on the base as it is stored."""
        recipe, loaded = self.prepared.recipe, self.prepared.loaded
        if not active_adapters(model):
            return "merged"
        if recipe.export == "merged" or not (loaded.merged or model_changed(recipe)):
            return recipe.export
        what = "the initial adapter was merged into" if loaded.merged else "the run changed"
        self.voice.say(f"{what} the model's own weights: the whole model is saved, not an adapter")
        return "merged"

    def _export(self, model: PreTrainedModel, export: Export) -> None:
        """Saves an adapter that plain PEFT loads, or a model that plain transformers loads."""
        folder, tokenizer = self.folder, self.prepared.loaded.tokenizer
        if export in ("adapter", "both"):
            dtype = self.prepared.loaded.precision.dtype
            if dtype != "float32":
                self.voice.say(
                    f"the adapter was measured on a base in {dtype}, which rounds small changes away: load the base so "
                    f"(dtype=torch.{dtype}); in float32 its numbers differ. dtype=float32 does without it"
                )
            save(model, tokenizer, folder.model)
        if export in ("merged", "both"):
            if has_quantised(model):
                self.voice.say(
                    "the adapter is merged into the whole base, loaded again; it was trained on 4 bits, so outputs "
                    "differ a little"
                )
            precision = self.prepared.loaded.precision
            if precision.stored not in (None, precision.dtype):
                self.voice.say(
                    f"the model is saved in {precision.dtype}, as it was measured; its base is stored in "
                    f"{precision.stored}, which would round small changes away"
                )
            save(model, tokenizer, folder.model if export == "merged" else folder.merged, merge=True)


def as_saved(model: PreTrainedModel, export: Export) -> PreTrainedModel:
    """The model in the form that is saved first, to be measured in it: with one adapter, or merged.

    A merge into 4 bits is not possible: that model is measured as it was trained.
    """
    if export == "merged" and not has_quantised(model):
        return merged(model).eval()
    return joined(model).eval()


def model_changed(recipe: Recipe) -> bool:
    """Whether the model's own weights are others than those it came from, so that an adapter would not fit on them."""
    rows = recipe.stages[-1].trains and recipe.stages[-1].adapter_or_full.kind == "rows"
    return rows or bool(recipe.new_tokens) or any(s.leaves_a_whole_model for s in recipe.stages[:-1])


@dataclass(frozen=True)
class _During:
    """The evaluator for the training loop."""

    measurer: Measurer
    stage: str
    rule: StopRule | None
    voice: Voice
    judge: Judge | None = None
    tracking: Tracking = field(default_factory=Tracking)

    def __call__(self, model: torch.nn.Module, *, step: int, epoch: float) -> list[Measure]:
        found = self.measurer.during(model, stage=self.stage, step=step, epoch=epoch)
        self.tracking.evaluated(found)
        if self.rule is not None:
            words = goal_words(self.rule.goal, found.measures)
            damage = self.rule.damaged(found.measures)
            harm = f"; damaged: {', '.join(damage)}" if damage else ""
            self.voice.say(f"stage {self.stage}, step {step}: {words}{harm}")
        if self.judge is not None:
            judge, folder = self.judge, self.measurer.folder
            why = on_first(lambda: judge(balances(folder, self.stage, step)))
            if why:
                raise PrunedError(why)
        return list(found.measures)
