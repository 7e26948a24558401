"""Measures one step and a few answers on this machine: seconds, and additional memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.benchmarks.suite import Split, Suite
from forgetting.core.batch import Batch
from forgetting.core.progress import SILENT
from forgetting.core.record import Record
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.metrics.score import score
from forgetting.models.adapters import InitialisationData, active_adapters, attach, resolve_targets, without
from forgetting.models.packing import why_padded
from forgetting.pipeline.estimate.rule_cost import RuleCost, rule_cost
from forgetting.pipeline.run.environment import held_memory, peak_memory, reset_peak_memory
from forgetting.pipeline.run.records import take
from forgetting.recipe import Recipe, Stage
from forgetting.training.learner import Learner
from forgetting.training.micro_batches import MicroBatches, pass_tokens
from forgetting.training.preparation import prepare
from forgetting.training.reference import LiveReference

_SLOW = 15.0
"""Seconds; a step or a few answers that take longer are timed only once."""
_FEW, _MORE = 8, 32
"""Numbers of evaluated examples of a split; the difference gives the cost of more examples."""
_STEPS = 50
"""Steps of the plan that are used for the mean number of tokens."""


@dataclass(frozen=True)
class StepProbe:
    """One optimiser step of a stage."""

    seconds: float
    """Seconds of a mean step of the plan."""
    per_token: float
    """Seconds per token of a row, forward and backward."""
    prepare_seconds: float
    """Seconds to add the adapter to the model."""
    trainable_bytes: int
    frozen_bytes: int
    """Bytes of frozen adapters, which checkpoints keep in addition to the trainable one."""
    prepared_bytes: int
    """Bytes that the adapter's initialisation computes and stores."""
    optimiser_bytes: int
    transient_bytes: int
    """Bytes of activations and chunks of the head, without weights, gradients and optimiser."""
    total: int
    """Steps of the stage."""
    evaluations: int
    """During the stage."""
    rule: RuleCost = field(default_factory=RuleCost)
    """What the gradient rule adds; its second pass is in `seconds`."""


@dataclass(frozen=True)
class AnswerProbe:
    """The cost of evaluating a suite."""

    fixed: float
    """Fixed seconds per evaluation."""
    per_example: float
    """Seconds per example: its answers and their share of the scores."""
    transient_bytes: int
    record_bytes: float
    """Bytes on disk per example."""
    examples: int
    """The number of examples per batch."""

    def seconds(self, suite: Suite) -> float:
        """Seconds of one evaluation of the suite."""
        return self.fixed + self.per_example * sum(len(split.examples) for split in suite.splits)


@contextmanager
def in_threads(count: int | None) -> Iterator[None]:
    """Sets the number of CPU threads to that of the run, and restores it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def probe_step(
    model: PreTrainedModel,
    stage: Stage,
    encoded: Mapping[str, Sequence[Encoded]],
    recipe: Recipe,
    pad_id: int,
    turns: Mapping[str, Sequence[Sequence[int]]] = MappingProxyType({}),
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> StepProbe:
    """Runs a step at learning rate 0, so that the model is unchanged; its adapter is removed again.

    A step is timed on its largest micro-batch only.
    """
    objective = stage.objective()
    data = {role: encoded[role] for role in objective.roles}
    sizes = {role: len(members) for role, members in data.items()}
    plan = StepPlan(sizes, stage.batch_size, recipe.seed_of(stage), objective.partners, turns)
    total, evaluations = _length(stage, plan, data)
    before, base_bytes = active_adapters(model), _bytes(model.parameters())
    with _attached(model, stage, encoded, pad_id, tokenizer) as (fitted, prepare_seconds, prepared_bytes):
        trainable_bytes = _bytes(p for p in fitted.parameters() if p.requires_grad)
        added_bytes = _bytes(fitted.parameters()) - base_bytes
        packed = stage.packing and why_padded(fitted) is None
        cut = MicroBatches(
            data,
            stage.micro_batch_size,
            partners=objective.partners,
            pad_id=pad_id,
            packed=packed,
            pass_tokens=pass_tokens(model.device),
        )
        batches = sorted(cut.of(plan.at(0)), key=lambda batch: -batch.input_ids_BT.numel())
        taken = _take(fitted, stage, batches, before, total)
        rule = rule_cost(fitted, objective, data, plan, trainable_bytes)
    cost = [batch.input_ids_BT.numel() + cut.pass_tokens for batch in batches]
    timed = _tokens(data, plan.at(0)) * cost[0] / sum(cost)
    mean = sum(_tokens(data, plan.at(s)) for s in range(min(total, _STEPS))) / min(total, _STEPS)
    return StepProbe(
        seconds=taken.seconds * (1 + rule.again) * mean / timed + taken.update_seconds,
        per_token=taken.seconds / timed,
        prepare_seconds=prepare_seconds,
        trainable_bytes=trainable_bytes,
        frozen_bytes=0 if stage.adapter_or_full.kind == "full" else max(0, added_bytes - trainable_bytes),
        prepared_bytes=prepared_bytes,
        optimiser_bytes=taken.optimiser_bytes,
        transient_bytes=max(0, taken.risen_bytes - trainable_bytes - taken.optimiser_bytes),
        total=total,
        evaluations=evaluations,
        rule=rule,
    )


def _length(stage: Stage, plan: StepPlan, data: Mapping[str, Sequence[Encoded]]) -> tuple[int, int]:
    """The steps of a stage, and the number of evaluations between them."""
    per_epoch = {
        "steps_per_epoch": plan.steps_per_epoch,
        "tokens_per_epoch": sum(e.supervised for e in data[plan.first]),
    }
    total, every = stage.duration.steps(**per_epoch), stage.evaluate_every
    return total, 0 if every is None or stage.is_aside else math.ceil(total / every.steps(**per_epoch))


@contextmanager
def _attached(
    model: PreTrainedModel,
    stage: Stage,
    encoded: Mapping[str, Sequence[Encoded]],
    pad_id: int,
    tokenizer: PreTrainedTokenizerBase | None,
) -> Iterator[tuple[nn.Module, float, int]]:
    """The model with the stage's adapter, the seconds to add it, and the bytes that its initialisation computed.

    The model is restored afterwards.
    """
    adapter, before = stage.adapter_or_full, active_adapters(model)
    asked = {name: p.requires_grad for name, p in model.named_parameters()}
    began = time.perf_counter()
    init = adapter.initialisation
    modules = resolve_targets(model, adapter.targets) if init.roles else ()
    one = {role: encoded[role][:1] for role in init.roles}  # the others are estimated by their tokens
    prepared = prepare(init, model, modules, InitialisationData(one, pad_id))
    fitted = attach(model, adapter.spec, name=stage.name, seed=0, prepared=prepared, tokenizer=tokenizer)
    try:
        size = sum(t.numel() * t.element_size() for t in prepared.values())
        yield fitted, time.perf_counter() - began, size
    finally:
        fitted.zero_grad()
        if adapter.kind != "full":
            without(fitted, tuple(n for n in active_adapters(fitted) if n not in before))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(asked.get(name, False))
        model.eval()


@dataclass(frozen=True)
class _Taken:
    """The cost of a micro-batch and of an update."""

    seconds: float
    update_seconds: float
    optimiser_bytes: int
    risen_bytes: int
    """The maximum increase of memory in use."""


def _take(fitted: nn.Module, stage: Stage, batches: Sequence[Batch], before: Sequence[str], total: int) -> _Taken:
    """Times the first of a step's micro-batches and the optimiser's update, in training mode.

    Args:
        fitted: the model with the stage's adapter.
        stage: the stage of the step.
        batches: the micro-batches of the step.
        before: the reference's adapters: those that were active before the stage.
        total: steps of the stage.
    """
    objective, trainable = stage.objective(), [p for p in fitted.parameters() if p.requires_grad]
    device = trainable[0].device
    batch, denominators = batches[0].to(device), objective.denominators(batches)
    live = LiveReference(fitted, objective, before)
    stored = stage.adapter_or_full.kind == "full" and objective.needs_reference
    theirs = live(batch) if stored else None  # read from disk in the run
    learner, weights = Learner(fitted, objective), objective.weights(0, total)
    kind = torch.optim.SGD if stage.optimizer == "sgd" else torch.optim.AdamW
    optimiser = kind(trainable, lr=0.0)

    def forward_and_backward() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=stage.mixed_precision == "bf16"):
            reference = (live(batch) if objective.needs_reference else {}) if theirs is None else theirs
            share, _ = learner(batch, weights=weights, denominators=denominators, reference=reference)
        share.backward()

    for parameter in fitted.parameters():
        parameter.sum()  # weights that are mapped from their file are loaded only when they are read
    fitted.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _peak() as risen:
        seconds = _timed(forward_and_backward, device)
        update = _timed(optimiser.step, device, once=True)
    held = (v for state in optimiser.state.values() for v in state.values() if torch.is_tensor(v))
    optimiser_bytes = sum(v.numel() * v.element_size() for v in held)
    optimiser.zero_grad()
    return _Taken(seconds, update, optimiser_bytes, risen[0])


def probe_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe
) -> AnswerProbe | None:
    """Answers and scores a few examples of every split, and a few more unless that was slow; None without examples."""
    splits = [split for split in suite.splits if split.examples]
    if not splits:
        return None
    few, more = (replace(suite, splits=tuple(_some(s, n) for s in splits), probes=()) for n in (_FEW, _MORE))
    counts = [sum(len(s.examples) for s in asked.splits) for asked in (few, more)]
    take(model, tokenizer, replace(few, splits=tuple(_some(s, 1) for s in splits)), recipe, SILENT)  # warm
    with _peak() as risen:
        first, records = _taking(model, tokenizer, few, recipe)
    fixed, slope = 0.0, first / counts[0]
    if first <= _SLOW and counts[1] > counts[0]:
        with _peak() as risen:
            second, records = _taking(model, tokenizer, more, recipe)
        slope = max(0.0, (second - first) / (counts[1] - counts[0]))
        fixed = max(0.0, first - slope * counts[0])
    size = sum(len(repr(r)) for r in records) * 1.35  # keys and quotes of JSON
    return AnswerProbe(fixed, slope, risen[0], size / len(records), len(records))


def _taking(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, suite: Suite, recipe: Recipe
) -> tuple[float, Sequence[Record]]:
    began = time.perf_counter()
    records = take(model, tokenizer, suite, recipe, SILENT).records
    score(suite.metrics, records, records)
    return time.perf_counter() - began, records


def _some(split: Split, most: int) -> Split:
    """Examples from the whole split, with its length of answers and its share of those that have text written."""
    step = max(1, len(split.examples) // most)
    written = split.written
    drawn_first = sorted(split.examples, key=lambda e: written is not None and e.id not in written)
    return replace(split, examples=tuple(drawn_first[::step][:most]))


def _tokens(data: Mapping[str, Sequence[Encoded]], picks: Mapping[str, Sequence[int]]) -> int:
    return sum(len(data[role][i].ids) for role, members in picks.items() for i in members)


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum(p.numel() * p.element_size() for p in parameters)


def _timed(work: Callable[[], object], device: torch.device, *, once: bool = False) -> float:
    """The median of three runs after a warm-up; if it is slow, or with `once`, the first run."""
    found = []
    for _ in range(1 if once else 4):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
        if found[-1] > _SLOW:
            break
    rest = sorted(found[1:]) or found
    return rest[len(rest) // 2]


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Yields a list; afterwards it holds the maximum increase of memory in use, in bytes."""
    reset_peak_memory()
    start = held_memory()
    risen = [0]
    yield risen
    risen[0] = max(0, peak_memory() - start)
