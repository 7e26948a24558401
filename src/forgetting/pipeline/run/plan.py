"""What a run would do, without doing it: `forget run --dry-run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetting.benchmarks.suite import Suite
from forgetting.core.example import Role
from forgetting.core.progress import SILENT, Voice
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.models.loading import LoadedModel
from forgetting.pipeline.run.environment import check_trackers
from forgetting.pipeline.run.ownership import check_data, check_output
from forgetting.pipeline.run.prepare import StageData, encode_stage, load_data
from forgetting.pipeline.run.run import check_stop_rules, loaded_for
from forgetting.pipeline.run.select_tokens import check_selects
from forgetting.pipeline.run.stage import adapter_words
from forgetting.pipeline.run.suites import check_passages, suite_of
from forgetting.pipeline.run.teacher import check_references
from forgetting.pipeline.run.transform import transform_words
from forgetting.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """What `run` would do, in lines, and all that it would begin with."""

    lines: list[str]
    recipe: Recipe
    loaded: LoadedModel
    data: Mapping[str, StageData]
    encoded: Mapping[str, Mapping[str, Sequence[Encoded]]]
    suite: Suite


def check(recipe: Recipe, *, voice: Voice = SILENT) -> list[str]:
    """The lines of `planned`."""
    return planned(recipe, voice=voice).lines


def planned(recipe: Recipe, *, voice: Voice = SILENT) -> Plan:
    """What `run` would do: data, encoded tokens and steps of every stage. Nothing is written.

    Raises:
        ForgettingError: what `run` would raise before it starts.
    """
    check_output(recipe)
    check_trackers(recipe)
    check_selects(recipe)
    check_references(recipe)
    data = load_data(recipe, voice)
    loaded, recipe = loaded_for(recipe)
    lines = [f"model: {recipe.model}, {sum(p.numel() for p in loaded.model.parameters()):,} weights"]
    every: dict[str, Mapping[str, Sequence[Encoded]]] = {}
    for stage in recipe.stages:
        encoded = every[stage.name] = encode_stage(stage, data[stage.name], loaded.tokenizer, recipe.format, voice)
        for role, members in encoded.items():
            tokens = sum(e.supervised for e in members)
            lines.append(f"{stage.name}: {len(members)} {role} rows, {tokens:,} supervised tokens")
        if not stage.trains:
            lines.append(f"{stage.name}: transform {transform_words(stage)}, seed {recipe.seed_of(stage)}; no training")
            continue
        if stage.is_aside:
            readers = ", ".join(s.name for s in recipe.stages if s.reads == stage.name)
            lines.append(f"{stage.name}: set aside afterwards, a reference for {readers}")
        if stage.select is not None:
            tokens = sum(e.supervised for e in encoded[Role.TRAIN])
            by = f"by {stage.select.reference}" if stage.select.scores is None else f"found in {stage.select.scores}"
            lines.append(f"{stage.name}: {tokens:,} tokens are scored, {by}")
        first = encoded[stage.roles[0]]
        per_epoch = StepPlan({stage.roles[0]: len(first)}, stage.batch_size, recipe.seed).steps_per_epoch
        total = stage.duration.steps(steps_per_epoch=per_epoch, tokens_per_epoch=sum(e.supervised for e in first))
        lines.append(f"{stage.name}: {total} steps, {per_epoch} per epoch, {adapter_words(stage.adapter_or_full)}")
    suite = suite_of(recipe, data)
    check_stop_rules(recipe, suite)
    check_passages(suite, loaded.tokenizer)
    check_data(recipe.folder, data, suite)
    lines.append(f"measures: {suite.name}, " + ", ".join(f"{len(s.examples)} {s.name}" for s in suite.splits))
    return Plan(lines, recipe, loaded, data, every, suite)
