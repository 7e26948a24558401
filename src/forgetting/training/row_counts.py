"""Counts what a row costs on the prepared model, and does not compute it from an architecture's formulas.

A few short rows go through the real work (the learner's forward and backward with the actual frozen weights, adapters
and head; the reference; the data pass of an initialisation) under torch's counter of matrix products, and the costs of
a token, a pair and a supervised position (`row_cost`) are solved from them. The counts are whole numbers, so the fit
must be exact, also on a shape that was not fitted; a model of another form is `Uncounted`, with the reason. Only matrix
products are counted, without norms, softmax, optimiser and padding. Attention counts the full T × T, as is usual,
though causal kernels may skip half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from forgetting.core.batch import Batch
from forgetting.core.errors import ModelError
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.adapters import active_adapters
from forgetting.models.adapters.initialisation import Initialisation, InitialisationData
from forgetting.models.head import causal_model, head_of, supervised_hidden, text_config, vocabulary_size
from forgetting.models.modes import modes_kept
from forgetting.models.vocabulary import chunk_tokens, statistics
from forgetting.objectives.gradient_rules import LooksAhead
from forgetting.objectives.objective import Objective
from forgetting.objectives.statistics import LOGP
from forgetting.training.counter import counted
from forgetting.training.learner import Learner, ReferenceSignals
from forgetting.training.reference import LiveReference, asking_roles
from forgetting.training.row_cost import Group, RoleCost, RowCost, StageCost, Uncounted, Work

_SHAPES = ((1, 4, 1), (1, 6, 3), (1, 9, 2), (2, 13, 5))
"""Rows, tokens and supervised positions of each row of the probes; the last one is only a check."""

_ADAPTERS = (".lora_", ".curlora_", ".trainable_tokens_")
"""What names of adapters' parameters hold."""

_FAILURES = (ModelError, RuntimeError, ValueError)
"""Errors that prevent counting; they must not prevent training."""


def stage_cost(
    model: nn.Module,
    objective: Objective,
    data: Mapping[str, Sequence[Encoded]],
    *,
    adapters: Sequence[str] = (),
    stored: bool = False,
) -> StageCost | Uncounted:
    """The cost of the rows of a stage, counted on its model; weights, gradients, modes and random state are unchanged.

    Args:
        model: the model, ready to be trained.
        objective: the stage's.
        data: by role; only the lengths of the rows matter.
        adapters: the reference's: those that were active before the stage.
        stored: whether the reference is stored; it is then the model with the currently active adapters.
    """
    learner = Learner(model, objective)
    live = LiveReference(model, objective, active_adapters(model) if stored else adapters)
    try:
        _check_depths(objective)
        _check_window(model, max((len(e.ids) for members in data.values() for e in members), default=0))
        with _probing(model):
            forward = _row_cost(model, lambda batch: lambda: _score(model, batch))
            _check_seen(model, forward)
            chunk = chunk_tokens(vocabulary_size(model), learner.elements)
            groups = {group: _role_cost(learner, live, group) for group in objective.groups}
            if isinstance(objective.gradients, LooksAhead):
                first = [group for group in groups if set(group) <= set(objective.parts[0])]
                groups |= {group: _twice(groups[group], stored) for group in first}
            return StageCost(groups, forward, chunk, stored)
    except _FAILURES as error:
        return Uncounted(_line(error))


def forward_cost(model: PreTrainedModel) -> RowCost | Uncounted:
    """The cost of scoring a row with the current model."""
    try:
        with _probing(model):
            forward = _row_cost(model, lambda batch: lambda: _score(model, batch))
            _check_seen(model, forward)
            return forward
    except _FAILURES as error:
        return Uncounted(_line(error))


def preparation_cost(
    model: PreTrainedModel | PeftModel, initialisation: Initialisation, modules: Sequence[str]
) -> dict[str, RowCost] | Uncounted:
    """The cost of a row of each role in the data pass of an initialisation; empty if it reads no data."""
    roles = initialisation.roles
    try:
        with _probing(model):
            base = _preparing(model, initialisation, modules, dict.fromkeys(roles, _SHAPES[0]))
            found = {role: _cost_of_role(model, initialisation, modules, role, base) for role in roles}
        rows, length, supervised = _SHAPES[0]
        one = Work(rows * length, rows * length**2, rows * supervised)
        if sum(cost.of(one) for cost in found.values()) != base:
            raise ModelError("the cost of preparing the adapter is not a sum over the rows of its roles")
        return found
    except _FAILURES as error:
        return Uncounted(_line(error))


def _cost_of_role(
    model: PreTrainedModel | PeftModel, initialisation: Initialisation, modules: Sequence[str], role: str, base: int
) -> RowCost:
    """Fitted from the increase of the count when only the rows of one role grow."""
    grown = [dict.fromkeys(initialisation.roles, _SHAPES[0]) | {role: shape} for shape in _SHAPES[1:]]
    counts = np.array([_preparing(model, initialisation, modules, shapes) - base for shapes in grown], dtype=np.int64)
    design = np.array([(b * t, b * t * t, b * n) for b, t, n in _SHAPES], dtype=np.int64)
    return _solution(design[1:] - design[0], counts)


def _preparing(
    model: PreTrainedModel | PeftModel,
    initialisation: Initialisation,
    modules: Sequence[str],
    shapes: Mapping[str, tuple[int, int, int]],
) -> int:
    """FLOPs of preparing on made-up rows: by role, how many, their tokens and supervised positions."""
    rows = {role: [_row(t, n) for _ in range(b)] for role, (b, t, n) in shapes.items()}
    data = InitialisationData(rows, pad_id=0)
    return counted(lambda: list(initialisation.prepare(model, modules, data)))


def _role_cost(learner: Learner, live: LiveReference, group: Group) -> RoleCost:
    objective, model = learner.objective, learner.model
    asks = group[0] in asking_roles(objective)

    def known(batch: Batch) -> dict[str, ReferenceSignals]:
        """The reference's outputs with logits already computed, so that only the learner's work is counted."""
        return {role: _formed(signals) for role, signals in live(batch).items()} if asks else {}

    def train(batch: Batch, by: Learner = learner) -> Callable[[], object]:
        theirs = known(batch)
        return lambda: _differentiate(by, batch, theirs)

    cost = _row_cost(model, train, group)
    last = _probe(model, group, *_SHAPES[-1])
    again = compared = 0
    if objective.in_whole_sequences(group[0]):
        by_token = Learner(model, objective, elements=1)
        again = (counted(train(last, by_token)) - counted(train(last))) // len(last.targets_N)
    if not asks:
        return RoleCost(cost, again)
    if (logits := live(last)[group[0]].logits) is not None:
        compared = counted(lambda: logits(slice(None))) * len(group) // len(last.targets_N)
    return RoleCost(cost, again, _row_cost(model, lambda batch: lambda: live(batch), group), compared)


def _twice(once: RoleCost, stored: bool) -> RoleCost:
    """The cost of rows that are differentiated twice in a step; a reference that is not stored is asked twice too."""
    asked = once.reference
    return RoleCost(
        train=once.train.times(2),
        again=2 * once.again,
        reference=asked if stored or asked is None else asked.times(2),
        compared=2 * once.compared,
    )


@torch.no_grad()
def _formed(signals: ReferenceSignals) -> ReferenceSignals:
    if signals.logits is None:
        return signals
    logits_NV = signals.logits(slice(None))
    return replace(signals, logits=lambda tokens: logits_NV[tokens])


def _differentiate(learner: Learner, batch: Batch, reference: dict[str, ReferenceSignals]) -> None:
    """The learner's forward and backward; no parameter gets a `.grad`."""
    objective = learner.objective
    denominators = objective.denominators([batch])
    loss, _ = learner(batch, weights=[1.0] * len(objective.terms), denominators=denominators, reference=reference)
    torch.autograd.grad(loss, [p for p in learner.model.parameters() if p.requires_grad], allow_unused=True)


@torch.no_grad()
def _score(model: nn.Module, batch: Batch) -> None:
    head = head_of(model)
    hidden_ND = supervised_hidden(model, head, batch.input_ids_BT, batch.attention_mask_BT, batch.sources_N)
    statistics(hidden_ND, head, batch.targets_N, (LOGP,))


def _row_cost(model: nn.Module, prepare: Callable[[Batch], Callable[[], object]], group: Group = ("",)) -> RowCost:
    """The exact solution over the probes; `prepare` returns the work to count on one."""
    counts = np.array([counted(prepare(_probe(model, group, *shape))) for shape in _SHAPES], dtype=np.int64)
    design = len(group) * np.array([(b * t, b * t * t, b * n) for b, t, n in _SHAPES], dtype=np.int64)
    return _solution(design, counts)


def _solution(design: np.ndarray, counts: np.ndarray) -> RowCost:
    """Costs of a token, a pair and a supervised position, from the first three counts; checked on all."""
    found = np.rint(np.linalg.solve(design[:3].astype(float), counts[:3].astype(float))).astype(np.int64)
    if (design @ found != counts).any() or (found < 0).any():
        raise ModelError("its cost is not a sum of tokens, their pairs and supervised positions")
    return RowCost(*(int(v) for v in found))


def _row(length: int, supervised: int) -> Encoded:
    weights = (0.0,) * (length - supervised) + (1.0,) * supervised
    return Encoded("", tuple(i % 2 for i in range(length)), weights, popularity=1.0)


def _probe(model: nn.Module, group: Group, rows: int, length: int, supervised: int) -> Batch:
    row = _row(length, supervised)
    return collate({role: [(i, row) for i in range(rows)] for role in group}, pad_id=0).to(
        next(model.parameters()).device
    )


@contextmanager
def _probing(model: nn.Module) -> Iterator[None]:
    """Training mode and attention as plain products, which the counter sees; both are restored afterwards."""
    inner = causal_model(model)
    attention = inner.config._attn_implementation
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=devices), modes_kept(model):
        try:
            if attention != "eager":
                inner.set_attn_implementation("eager")
            model.train()
            yield
        finally:
            if attention != "eager":
                inner.set_attn_implementation(attention)


def _check_depths(objective: Objective) -> None:
    """Checks depths: a backward pass goes to its deepest role for all rows, but roles are counted separately."""
    for part in objective.parts:
        depths = {
            None if objective.needs(group[0]) else max(objective.layers_of(group))
            for group in objective.groups
            if set(group) <= set(part)
        }
        if len(depths) > 1:
            raise ModelError("one role uses hidden states and another the vocabulary: their shares are unknown")


def _check_window(model: nn.Module, longest: int) -> None:
    """Checks windows: beyond its window, attention is cheaper than T × T, depending on the kernel."""
    config: Any = text_config(model)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and not {"sliding_attention", "chunked_attention"} & set(kinds):
        return
    for name in ("sliding_window", "attention_chunk_size"):
        window = getattr(config, name, None)
        if window is not None and window < longest:
            raise ModelError(f"attention has a window of {window} tokens and the longest row has {longest}")


def _check_seen(model: nn.Module, forward: RowCost) -> None:
    """Checks that every weight of the body is multiplied with every token; otherwise the count missed something."""
    inner = causal_model(model)
    decoder: Any = inner.get_decoder()  # not what sees or hears: no text goes through it
    apart = {id(p) for m in decoder.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    head: Any = inner.get_output_embeddings()
    apart |= set() if head is None else {id(p) for p in head.parameters()}
    least = 2 * sum(
        p.numel()
        for n, p in decoder.named_parameters()
        if p.dim() > 1 and id(p) not in apart and not any(part in n for part in _ADAPTERS)
    )
    if forward.token < least:
        raise ModelError(
            f"the counter sees {forward.token:,} FLOPs per token, but the weights need {least:,}: experts that are "
            "chosen by token, or kernels that it does not know"
        )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
