"""Writes results.json: everything that a report needs, collected from the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from forgetting.core.digest import file_digest
from forgetting.core.processes import by_first
from forgetting.pipeline.run.earlier import (
    earlier_register,
    earlier_requests,
    learned_again,
    measured_sets,
    unmeasured_requests,
)
from forgetting.pipeline.run.prepare import StageData
from forgetting.pipeline.run.prepared import Prepared
from forgetting.pipeline.run.prompt import rendered_prompt
from forgetting.pipeline.run.shots import as_asked
from forgetting.pipeline.run.stage import adapter_words
from forgetting.recipe import Stage
from forgetting.runs.evaluation import Evaluation
from forgetting.runs.folder import RunFolder
from forgetting.runs.register import merged, read_register, write_register
from forgetting.runs.results import Cost, Results
from forgetting.runs.stage_result import StageResult
from forgetting.training.flops import run_flops


def write_results(folder: RunFolder, prepared: Prepared) -> None:
    """Writes results.json from the files of stages and evaluations in the folder; a register is carried on."""
    recipe = as_asked(prepared.recipe)
    stages = [_stage(folder, stage) for stage in recipe.stages]
    evaluations = folder.evaluations.in_order([stage.name for stage in recipe.stages])
    results = replace(
        begun(folder, prepared),
        status="collapsed" if any(s.stopped == "collapse" for s in stages) else "complete",
        evaluations=tuple(evaluations),
        stages=tuple(stages),
        cost=_cost(folder, stages, evaluations),
    )
    folder.write_prompt(rendered_prompt(prepared.suite, prepared.loaded.tokenizer, prepared.recipe.format))
    if requests := earlier_register(recipe.model):
        by_first(lambda: write_register(folder.register_file, merged(requests, read_register(folder.register_file))))
    folder.write_results(results)


def begun(folder: RunFolder, prepared: Prepared) -> Results:
    """What is known of the results when the run begins: all but stages, evaluations and cost."""
    recipe = as_asked(prepared.recipe)
    corpus = next((d.corpus for d in prepared.data.values() if d.corpus is not None), None)
    before = earlier_requests(recipe.model)
    sets = measured_sets(before, prepared.suite, prepared.loaded.tokenizer)
    return Results(
        folder=folder.path,
        name=recipe.name,
        status="unfinished",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        question=recipe.question,
        model=recipe.model,
        oracle=prepared.oracle,
        earlier=unmeasured_requests(before, sets),
        earlier_unknown=tuple(one.name for one in before if not one.records),
        earlier_sets=sets,
        earlier_learned=learned_again(before, recipe.stages, prepared.data, prepared.loaded.tokenizer),
        suite=prepared.suite.name,
        declaration=prepared.suite.declares,
        subsets=prepared.suite.subsets,
        recipe=recipe.model_dump(mode="json"),
        recipe_yaml=recipe.to_yaml(),
        recipe_sha256=file_digest(folder.recipe_file),
        environment=folder.environment(),
        data=_data(prepared.data),
        corpus=None if corpus is None else corpus.to_json(),
    )


def _data(data: Mapping[str, StageData]) -> dict[str, Any]:
    """Data by role; if stages differ, by role and stage."""
    summaries = {stage: d.summary() for stage, d in data.items()}
    found: dict[str, Any] = {}
    for stage, summary in summaries.items():
        for role, said in summary.items():
            differ = any(other.get(role, said) != said for other in summaries.values())
            found[f"{role} ({stage})" if differ else role] = said
    return found


def _stage(folder: RunFolder, stage: Stage) -> StageResult:
    """The stage's result, completed from the recipe."""
    result = replace(folder.stage(stage.name).result(), name=stage.name, method=stage.what, forgets=stage.forgets)
    if not stage.trains:
        return replace(result, transform=stage.transform)
    words = adapter_words(stage.adapter_or_full, whole=not result.coverage)
    return replace(result, adapter=words, learning_rate=stage.learning_rate, goal=stage.until or "")


def _cost(folder: RunFolder, stages: Sequence[StageResult], evaluations: Sequence[Evaluation]) -> Cost:
    """Sums over the stages, including interrupted ones.

    Preparation includes data passes of initialisations, stored references, token scores and transforms.
    """
    preparing = sum(folder.stage(s.name).prepared_seconds() for s in stages)
    preparing += sum(s.scoring_seconds or 0.0 for s in stages)
    training = sum(s.train_seconds for s in stages)
    measuring = sum(e.seconds for e in evaluations)
    return Cost(
        seconds=preparing + training + measuring,
        prepare_seconds=preparing,
        train_seconds=training,
        evaluation_seconds=measuring,
        peak_memory_bytes=max(s.peak_memory_bytes for s in stages),
        trainable_parameters=stages[-1].trainable,
        total_parameters=stages[-1].of,
        steps=sum(s.steps for s in stages),
        supervised_tokens=sum(s.supervised_tokens for s in stages),
        flops=run_flops([asdict(s) for s in stages], [(e.stage, e.work) for e in evaluations if e.stage]),
    )
