"""Estimates memory, disk and time of a run, from a timed step and a few answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from forgetting.analysis import ANALYSES
from forgetting.benchmarks.suite import Suite
from forgetting.core.errors import ForgettingError
from forgetting.data.encode import Encoded
from forgetting.evaluation.rows import BATCH_TOKENS
from forgetting.models.head import head_of
from forgetting.models.loading import LoadedModel
from forgetting.pipeline.estimate.probe import AnswerProbe, StepProbe, in_threads, probe_answers, probe_step
from forgetting.pipeline.finished_run import analysis_cost
from forgetting.pipeline.finished_run.analyse import check_analyses, reads_oracle
from forgetting.pipeline.finished_run.analysis_cost import Expected, costs_on
from forgetting.pipeline.finished_run.examples import examples_of
from forgetting.pipeline.finished_run.models import oracle_of
from forgetting.pipeline.finished_run.plugged import chosen
from forgetting.pipeline.run.prepared import Prepared
from forgetting.pipeline.run.stage_runner import model_changed
from forgetting.pipeline.run.suites import fast_suite_of
from forgetting.recipe import Recipe, Stage
from forgetting.recipe.stage import BEFORE
from forgetting.report import wording
from forgetting.training.preparation import rows_read
from forgetting.training.reference import asking_roles
from forgetting.training.stored_reference import stored_numbers

WITHIN = {"memory": 1.5, "disk": 1.1, "time": 1.7}
"""The worst factor between estimate and run, rounded up, over nine runs on one CPU thread: the lab's model in full,
with LoRA, an initialisation that reads data, packing and stored references, and 32 million weights in full and with
LoRA. The factor for time is 1.3 in CPU seconds, and 1.7 in wall-clock time on a busy machine."""
_FORWARD = 1 / 3
"""The share of a forward in a step's forward and backward."""
_LIBRARIES = 100_000_000
"""Measured bytes of libraries, results and the report in a run on a CPU, without its model."""
_FILES_SECONDS = 2.0
"""Measured seconds of loading, hashing, writing files and the report."""
_PAGE = 400_000
"""Bytes of the report, the recipe and the histories of a run."""


@dataclass(frozen=True)
class Estimate:
    """Bytes and seconds by part; unknown parts are not included, but listed in `notes`."""

    memory: Mapping[str, int]
    """For the stage that takes most, without the program itself."""
    disk: Mapping[str, int]
    """At the end of the run; during the writing of a checkpoint, its weights and optimiser are on disk twice."""
    seconds: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def peak(self) -> int:
        """Peak memory: the largest of training, answering and analysing, which do not happen at the same time."""
        parts = dict(self.memory)
        names = ("activations and chunk", "answering", "oracle's answering", "analysing")
        either = [parts.pop(name, 0) for name in names]
        return sum(parts.values()) + max(either)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        totals = {
            "peak_bytes": self.peak,
            "disk_bytes": sum(self.disk.values()),
            "total_seconds": sum(self.seconds.values()),
        }
        return {**asdict(self), **totals, "within": WITHIN}

    def lines(self) -> list[str]:
        """For a terminal."""
        sizes = {part: wording.size(b) for part, b in self.memory.items() if b}
        disk = {part: wording.size(b) for part, b in self.disk.items() if b}
        times = {part: wording.seconds(s) for part, s in self.seconds.items() if s}
        return [
            _line("memory", wording.size(self.peak), sizes, WITHIN["memory"]),
            _line("disk", wording.size(sum(self.disk.values())), disk, WITHIN["disk"]),
            _line("time", wording.seconds(sum(self.seconds.values())), times, WITHIN["time"]),
            *self.notes,
            "the factors were measured on models of 1 and of 32 million weights on a processor; larger ones may differ",
            "the time is for this machine under its present load",
        ]


def estimate(prepared: Prepared) -> Estimate:
    """Times one step of every stage and a few answers, in memory; the model is unchanged, and nothing is written.

    Stages are timed on the loaded model. Possible cache entries (references, records of the model before and of the
    oracle) are counted in full. The time is for the machine under its present load.
    """
    recipe, loaded, suite, encoded = prepared.recipe, prepared.loaded, prepared.suite, prepared.encoded
    model, pad_id = loaded.model, loaded.pad_id
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    steps: dict[str, StepProbe] = {}
    notes: list[str] = []
    with in_threads(recipe.threads):
        for stage in recipe.stages:
            if not stage.trains:
                notes.append(f"not in the time: stage {stage.name}, which transforms the weights")
                continue
            try:
                steps[stage.name] = probe_step(
                    model,
                    stage,
                    encoded[stage.name],
                    recipe,
                    pad_id,
                    prepared.data[stage.name].turns,
                    loaded.tokenizer,
                )
            except ForgettingError as error:
                notes.append(f"{stage.name}: could not be timed ({error})")
        answers = probe_answers(model, loaded.tokenizer, suite, recipe)
        analysing = _analysing(prepared, notes)
    notes += [
        f"{name}: what its gradient rule computes before the first step is not counted"
        for name, step in steps.items()
        if step.rule.unknown
    ]
    if suite.probes:
        notes.append(f"not in the time: {len(suite.probes)} probes of the suite, which run whole benchmarks")
    oracle = (recipe.oracle or suite.oracle) is not None and not str(recipe.oracle or "").endswith(".jsonl")
    fast = {stage.name: fast_suite_of(recipe, prepared.data, stage) for stage in recipe.stages}
    references = {s.name: _reference(s, encoded[s.name], loaded) for s in recipe.stages}
    memory = _memory(steps, answers, suite, encoded, weights, oracle)
    if analysing:
        notes.append("the time of analyses is that of the machine where nothing else runs")
        # the models after and of the oracle are in memory beside the one before
        others = int(_ends_whole(recipe)) + int(_analysed_oracle(prepared))
        held = max(one.bytes for one in analysing.values()) + others * weights
        trained = sum(memory.get(part, 0) for part in ("gradients", "optimiser", "copy for a checkpoint"))
        memory["analysing"] = max(0, round(held) - trained)
        notes.append(f"of the time, that of single analyses was up to {analysis_cost.WITHIN:g} times more or less")
    return Estimate(
        memory=memory,
        disk=_disk(recipe, steps, answers, suite, references, weights, oracle),
        seconds={
            **_seconds(recipe, steps, answers, suite, fast, encoded, oracle),
            "analysing": sum(one.seconds for one in analysing.values()),
        },
        notes=tuple(notes),
    )


def _analysing(prepared: Prepared, notes: list[str]) -> dict[str, Expected]:
    """What the recipe's analyses take; parameters that do not fit the model are refused here, as before the run."""
    recipe, model = prepared.recipe, prepared.loaded.model
    if not recipe.analyse:
        return {}
    asked = chosen(ANALYSES, list(recipe.analyse), recipe.analyse)
    check_analyses(asked, model)
    models = 2 + int(_analysed_oracle(prepared))
    try:
        return costs_on(
            model,
            prepared.loaded.tokenizer,
            asked,
            examples_of(recipe, prepared.data),
            formatting=recipe.format,
            views=models,
            rank=0 if _ends_whole(recipe) else recipe.stages[-1].adapter_or_full.rank,
        )
    except ForgettingError as error:
        notes.append(f"what the analyses will take is not known: {error}")
        return {}


def _analysed_oracle(prepared: Prepared) -> bool:
    """Whether there is an oracle that one of the recipe's analyses reads."""
    recipe = prepared.recipe
    asked = chosen(ANALYSES, list(recipe.analyse), recipe.analyse) if recipe.analyse else []
    return any(map(reads_oracle, asked)) and oracle_of(recipe, prepared.data) is not None


def _ends_whole(recipe: Recipe) -> bool:
    """Whether the model after the run is loaded as a whole one, and not as an adapter on the one before."""
    last = recipe.stages[-1]
    full = not last.trains or last.adapter_or_full.kind == "full"
    return full or recipe.export == "merged" or model_changed(recipe)


def _memory(
    steps: Mapping[str, StepProbe],
    answers: AnswerProbe | None,
    suite: Suite,
    encoded: Mapping[str, Mapping[str, Sequence[Encoded]]],
    weights: int,
    oracle: bool,
) -> dict[str, int]:
    answering = 0 if answers is None else round(answers.transient_bytes * _batch_growth(suite, answers, encoded))
    own = 0 if torch.cuda.is_available() else _LIBRARIES
    if not steps:
        return {"weights": weights, "answering": answering, "libraries": own}
    most = max(
        steps.values(),
        key=lambda s: (
            2 * s.trainable_bytes + s.optimiser_bytes + s.transient_bytes + s.rule.held_bytes + s.rule.kept_bytes
        ),
    )
    return {
        "weights": weights,
        "adapters": most.frozen_bytes + (most.trainable_bytes if most.trainable_bytes < weights else 0),
        "gradients": most.trainable_bytes,
        "gradients by part": most.rule.held_bytes,
        "bases, at most": most.rule.kept_bytes,
        "optimiser": most.optimiser_bytes,
        "copy for a checkpoint": most.trainable_bytes,
        "activations and chunk": most.transient_bytes,
        "libraries": own,
        "answering": answering,
        "oracle's answering": max(
            0, answering + (weights if oracle else 0) - 2 * most.trainable_bytes - most.optimiser_bytes
        ),
    }


def _batch_growth(suite: Suite, answers: AnswerProbe, encoded: Mapping[str, Mapping[str, Sequence[Encoded]]]) -> float:
    """The size of the largest batch relative to the one that was measured."""
    lengths = [len(e.ids) for roles in encoded.values() for members in roles.values() for e in members]
    room = BATCH_TOKENS // max(1, round(sum(lengths) / max(1, len(lengths))))
    largest = max(len(split.examples) for split in suite.splits)
    asked = max(1, answers.examples // len(suite.splits))
    return max(1.0, min(largest, room) / asked)


def _disk(
    recipe: Recipe,
    steps: Mapping[str, StepProbe],
    answers: AnswerProbe | None,
    suite: Suite,
    references: Mapping[str, int],
    weights: int,
    oracle: bool,
) -> dict[str, int]:
    checkpoints = handed = importance = bases = 0
    for stage in recipe.stages:
        step = steps.get(stage.name)
        if step is None:
            handed += weights if not stage.trains and stage is not recipe.stages[-1] else 0
            continue
        kept = step.trainable_bytes + step.frozen_bytes
        # the last one, the one before it as a fallback, the best
        checkpoints += (3 if stage.keep == "best" else 2) * kept + step.optimiser_bytes
        if stage is not recipe.stages[-1] and not stage.is_aside:
            handed += weights if stage.leaves_a_whole_model else 0
        importance += step.prepared_bytes
        bases += step.rule.kept_bytes
    last = steps.get(recipe.stages[-1].name)
    full = recipe.stages[-1].adapter_or_full.kind == "full"
    saved = 0 if last is None else last.trainable_bytes + last.frozen_bytes
    if full and (last is not None or not recipe.stages[-1].trains):
        saved = weights
    if not full and (_ends_whole(recipe) or recipe.export == "both"):
        saved = weights + (saved if recipe.export == "both" else 0)
    points = 1 + int(oracle) + len(recipe.stages)
    examples = sum(len(split.examples) for split in suite.splits)
    records = 0 if answers is None else round(answers.record_bytes * examples)
    return {
        "checkpoints": checkpoints,
        "models handed over": handed,
        "the model": saved,
        "stored references": sum(references.values()),
        "importance": importance,
        "bases, at most": bases,
        "records": records * (points + 1 + int(oracle)),  # the cache has those of model before and oracle
        "report and results": _PAGE,
    }


def _reference(stage: Stage, encoded: Mapping[str, Sequence[Encoded]], loaded: LoadedModel) -> int:
    """Stored outputs of the model before full tuning: numbers per token; for distributions, hidden states and head."""
    if not stage.trains:
        return 0
    objective, stored = stage.objective(), stage.adapter_or_full.kind == "full" or stage.reference != BEFORE
    if not objective.needs_reference or not stored:
        return 0
    head = head_of(loaded.model)
    numbers = 0
    for role in asking_roles(objective):
        numbers += stored_numbers(loaded.model, objective, role, encoded[role]) + 2 * len(encoded[role])
    compares = any(objective.compares(role) for role in asking_roles(objective))
    weight = head.weight_VD if compares else None
    return 4 * numbers + (0 if weight is None else weight.numel() * weight.element_size())


def _seconds(
    recipe: Recipe,
    steps: Mapping[str, StepProbe],
    answers: AnswerProbe | None,
    suite: Suite,
    fast: Mapping[str, Suite],
    encoded: Mapping[str, Mapping[str, Sequence[Encoded]]],
    oracle: bool,
) -> dict[str, float]:
    whole = 0.0 if answers is None else answers.seconds(suite)
    training = preparing = 0.0
    evaluating = whole * (1 + int(oracle))
    for stage in recipe.stages:
        if not stage.trains:
            evaluating += whole
        if (step := steps.get(stage.name)) is None:
            continue
        training += step.seconds * step.total
        preparing += step.prepare_seconds + _preparing(stage, step, encoded[stage.name]) + step.rule.seconds
        preparing += _FORWARD * step.per_token * step.rule.read_tokens
        if not stage.is_aside:
            quick = 0.0 if answers is None else answers.seconds(fast[stage.name])
            evaluating += step.evaluations * quick + whole
    return {"preparing": preparing, "training": training, "evaluating": evaluating, "files": _FILES_SECONDS}


def _preparing(stage: Stage, step: StepProbe, encoded: Mapping[str, Sequence[Encoded]]) -> float:
    """Forwards and backwards before the first step: stored references, data passes of initialisations, token scores."""
    objective, seconds = stage.objective(), 0.0
    tokens = {role: sum(len(e.ids) for e in members) for role, members in encoded.items()}
    if objective.needs_reference and stage.adapter_or_full.kind == "full":
        seconds += _FORWARD * step.per_token * sum(tokens[role] for role in asking_roles(objective))
    for rows in rows_read(stage.adapter_or_full.initialisation, encoded).values():
        seconds += step.per_token * sum(len(e.ids) for e in rows)
    if stage.select is not None and stage.select.scores is None:
        seconds += 2 * _FORWARD * step.per_token * tokens.get("train", 0)
    return seconds


def _line(what: str, total: str, parts: Mapping[str, str], factor: float) -> str:
    said = ", ".join(f"{part} {value}" for part, value in parts.items())
    return f"{what}: about {total} ({said}); real runs were within a factor of {factor:g}"
