"""Describes a run without running it (`forget run --dry-run`)."""

from __future__ import annotations

from dataclasses import dataclass

from forgetting.core.errors import redacted
from forgetting.core.example import Role
from forgetting.core.progress import SILENT, Voice
from forgetting.data.plan import StepPlan
from forgetting.pipeline.run.prepared import Prepared, check_recipe, prepared
from forgetting.pipeline.run.stage import adapter_words
from forgetting.pipeline.run.transform import transform_words
from forgetting.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """What `run` would do, in lines, and its prepared inputs."""

    lines: list[str]
    prepared: Prepared


def check(recipe: Recipe, *, voice: Voice = SILENT) -> list[str]:
    """The lines of `planned`."""
    return planned(recipe, voice=voice).lines


def planned(recipe: Recipe, *, voice: Voice = SILENT) -> Plan:
    """What `run` would do: data, encoded tokens and steps of every stage. Nothing is written.

    Raises:
        ForgettingError: what `run` would raise before it starts.
    """
    with redacted(recipe.redact):
        return _planned(recipe, voice)


def _planned(recipe: Recipe, voice: Voice) -> Plan:
    check_recipe(recipe)
    ready = prepared(recipe, voice)
    recipe, suite = ready.recipe, ready.suite
    lines = [f"model: {recipe.model}, {sum(p.numel() for p in ready.loaded.model.parameters()):,} weights"]
    for stage in recipe.stages:
        encoded = ready.encoded[stage.name]
        for role, members in encoded.items():
            tokens = sum(e.supervised for e in members)
            lines.append(f"{stage.name}: {len(members)} {role} rows, {tokens:,} supervised tokens")
        if not stage.trains:
            lines.append(f"{stage.name}: transform {transform_words(stage)}, seed {recipe.seed_of(stage)}; no training")
            continue
        if stage.is_aside:
            readers = ", ".join(s.name for s in recipe.stages if s.reads == stage.name)
            lines.append(f"{stage.name}: set aside as a reference for {readers}")
        if stage.select is not None:
            tokens = sum(e.supervised for e in encoded[Role.TRAIN])
            by = f"by {stage.select.reference}" if stage.select.scores is None else f"found in {stage.select.scores}"
            lines.append(f"{stage.name}: scores {tokens:,} tokens, {by}")
        first = encoded[stage.roles[0]]
        per_epoch = StepPlan({stage.roles[0]: len(first)}, stage.batch_size, recipe.seed).steps_per_epoch
        total = stage.duration.steps(steps_per_epoch=per_epoch, tokens_per_epoch=sum(e.supervised for e in first))
        lines.append(f"{stage.name}: {total} steps, {per_epoch} per epoch, {adapter_words(stage.adapter_or_full)}")
    lines.append(f"measures: {suite.name}, " + ", ".join(f"{len(s.examples)} {s.name}" for s in suite.splits))
    return Plan(lines, ready)
