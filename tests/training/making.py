"""Random encoded examples, objectives, and the reference as a second model: what the library never keeps."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.core.cache import Cache
from forgetting.core.measure import Measure
from forgetting.data.batches import collate
from forgetting.data.encode import Encoded
from forgetting.models.adapters import InitialisationData
from forgetting.objectives.gradient_rules import build_gradient_rule
from forgetting.objectives.losses import dpo, kl_from_reference, kl_to_reference, nll, npo
from forgetting.objectives.methods import build_method
from forgetting.objectives.objective import Objective, Term
from forgetting.objectives.statistics import statistics_of
from forgetting.training.importance import MeasuredFila
from forgetting.training.learner import Learner, ReferenceSignals
from forgetting.training.loop import Trainer
from forgetting.training.preparation import prepare
from forgetting.training.reference import Reference, asking_roles, no_reference
from forgetting.training.settings import Optimisation
from forgetting.training.stage import Hooks
from tests.models.tiny import tiny_model

VOCAB = 97


def row_importance(
    model: Any,
    forget: Sequence[Encoded],
    retain: Sequence[Encoded],
    modules: Sequence[str],
    *,
    epsilon: Any = "relative",
    budget: int | None = None,
    cache: Cache | None = None,
    **given: Any,
) -> dict[str, Tensor]:
    """FILA's importance as a stage prepares it; `given`: pad_id, say, progress."""
    data = InitialisationData({"forget": forget, "retain": retain}, **given)
    fila = MeasuredFila(epsilon, budget=budget)
    return prepare(fila, model, modules, data, cache=cache, key=repr(epsilon))


def examples(count: int, *, seed: int = 0, signed: bool = False, shortest: int = 3, longest: int = 12) -> list[Encoded]:
    """Ragged examples of random tokens behind a prompt of two; `signed`: weights of both signs and several sizes."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for index in range(count):
        length = int(torch.randint(shortest, longest + 1, (1,), generator=generator))
        ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist()
        weights = [0.0, 0.0, *[1.0] * (length - 2)]
        if signed:
            drawn = (
                torch.randint(1, 4, (length,), generator=generator)
                * torch.tensor([1, -1])[torch.randint(0, 2, (length,), generator=generator)]
            )
            weights = [0.0, 0.0, *(0.5 * drawn[2:]).tolist()]
        made.append(Encoded(f"e{index}", tuple(ids), tuple(weights), popularity=30.0 * (index + 1) ** 2))
    return made


def data_of(*roles: str, count: int = 6, signed: bool = False) -> dict[str, list[Encoded]]:
    return {role: examples(count, seed=n + 1, signed=signed) for n, role in enumerate(roles)}


OBJECTIVES: dict[str, Objective] = {
    "token": Objective(Term("train", nll), Term("train", nll, weight=-0.3, sign="negative", name="forgotten")),
    "sequence": Objective(
        Term("train", nll, average="sequence"),
        Term("train", nll, weight=-0.3, average="sequence", sign="negative", name="forgotten"),
    ),
    "sequence_sum": Objective(
        Term("train", nll, average="sequence_sum"),
        Term("train", nll, weight=-0.3, average="sequence_sum", sign="negative", name="forgotten"),
    ),
    "npo": Objective(Term("forget", npo(0.1), average="sequence"), Term("retain", nll)),
    "dpo": Objective(Term("forget", dpo(0.1), average="sequence", partner="alternate"), Term("retain", nll)),
    "kl_pairs": Objective(
        Term("retain", nll),
        Term("forget", dpo(0.1), average="sequence", partner="alternate"),
        Term("alternate", kl_from_reference, weight=0.5, name="near"),
    ),
    "kl_from": Objective(Term("forget", nll, weight=-0.5), Term("retain", kl_from_reference)),
    "kl_to": Objective(Term("forget", nll, weight=-0.5), Term("retain", kl_to_reference, average="sequence")),
}
RMU = {"layer": 0, "coefficient": 3.0, "retain_weight": 2.0}
NOT_SUMS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "rmu": ("rmu", RMU, None),
    "rmu all": ("rmu", {**RMU, "positions": "all", "average": "sequence"}, None),
    "rmu kl": ("rmu", {**RMU, "retain": "kl_from_reference"}, None),
    "gru": ("gru", {"gamma": 0.7}, None),
    "npo rectified": ("npo", {}, "rectified"),
    "balanced": ("graddiff", {}, "balanced"),
    "npo flat": ("npo", {}, "flat"),
    "selective": ("graddiff", {}, "selective"),
    "subspace": ("graddiff", {}, "subspace"),
    "adapop": ("adapop", {"period": 0.25, "tolerance": 0.0, "dual_step": 5.0}, None),
    "pdu": ("pdu", {"bound": 1.0, "dual": 2.0, "dual_step": 0.5}, None),
}
"""Methods with hidden states, gradient rules or state, and a stage's rule; `not_a_sum` builds them anew."""


def not_a_sum(name: str) -> Objective:
    method, parameters, rule = NOT_SUMS[name]
    objective = build_method(method, parameters)
    return objective if rule is None else objective.with_gradients(build_gradient_rule(rule))


WITH_REFERENCE = ("npo", "dpo", "kl_from", "kl_to")


class CopyReference:
    """The reference as a deep-copied model and whole logits: the oracle of the ways that keep no second model."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self.model = copy.deepcopy(model).eval()
        self.objective = objective

    @torch.no_grad()
    def __call__(self, batch: Batch) -> dict[str, ReferenceSignals]:
        inputs = {"input_ids": batch.input_ids_BT, "attention_mask": batch.attention_mask_BT}
        if batch.position_ids_BT is not None:
            inputs |= {"attention_mask": None, "position_ids": batch.position_ids_BT}
        answer = self.model(**inputs, use_cache=False, output_hidden_states=True)
        logits_NV = answer.logits.flatten(0, 1)[batch.sources_N]
        found = {}
        for role in asking_roles(self.objective):
            if role in batch.roles:
                here = batch.roles[role].tokens
                z_NV, targets_N = logits_NV[here], batch.targets_N[here]
                stats = statistics_of(z_NV, targets_N, self.objective.of_reference(role))
                states = {
                    (layer, at): answer.hidden_states[layer + 1].flatten(0, 1)[batch.places(role, at)[0]]
                    for layer, at in self.objective.states(role, of_reference=True)
                }
                found[role] = ReferenceSignals(stats, lambda tokens, z_NV=z_NV: z_NV[tokens], states)
        return found


def batches_of(
    data: dict[str, list[Encoded]],
    picks: Sequence[dict[str, list[int]]],
    *,
    pad_id: int = 0,
    extra: int = 0,
    packed: bool = False,
) -> list[Batch]:
    """Micro-batches of these examples, each padded by `extra` more columns, or packed."""
    made = [
        collate({r: [(i, data[r][i]) for i in members] for r, members in p.items()}, pad_id=pad_id, packed=packed)
        for p in picks
    ]
    return [_longer(batch, extra, pad_id) for batch in made] if extra else made


def _longer(batch: Batch, extra: int, pad_id: int) -> Batch:
    width = batch.input_ids_BT.shape[1]

    def padded(grid: Tensor, value: int) -> Tensor:
        return nn.functional.pad(grid, (0, extra), value=value)

    return Batch(
        padded(batch.input_ids_BT, pad_id),
        padded(batch.attention_mask_BT, 0),
        padded(batch.segment_ids_BT, -1),
        batch.sources_N // width * (width + extra) + batch.sources_N % width,
        batch.targets_N,
        batch.weights_N,
        batch.sequences_N,
        batch.keys_S,
        batch.indices_S,
        batch.roles,
    )


def step_of(
    model: nn.Module,
    objective: Objective,
    batches: Sequence[Batch],
    reference: Reference = no_reference,
    *,
    elements: int = 2**25,
) -> tuple[float, list[float], dict[str, Tensor]]:
    """One step without the optimiser: loss, the terms' values, gradients."""
    learner = Learner(model, objective, elements=elements)
    model.zero_grad()
    denominators, weights = objective.denominators(batches), objective.weights(0, 1)
    loss, values = 0.0, [0.0] * len(objective.terms)
    for batch in batches:
        share, theirs = learner(batch, weights=weights, denominators=denominators, reference=reference(batch))
        share.backward()
        loss += share.item()
        values = [a + b for a, b in zip(values, theirs, strict=True)]
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return loss, values, found


def apart(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Distance of two whole gradients as a share of the length of the second."""
    assert actual.keys() == expected.keys() and expected
    distance = sum(float((actual[n] - g).double().square().sum()) for n, g in expected.items()) ** 0.5
    return distance / sum(float(g.double().square().sum()) for g in expected.values()) ** 0.5


TRAIN = Objective(Term("train", nll))
UNLEARN = Objective(Term("forget", nll, weight=-1.0), Term("retain", nll))


def settings(**keys: Any) -> Optimisation:
    return Optimisation(**{"learning_rate": 0.01, "batch_size": 4, "duration": "6 steps", **keys})


def trainer(folder: Path, objective: Objective = TRAIN, **keys: Any) -> Trainer:
    hooks = keys.pop("hooks", Hooks())
    model = keys.pop("model", None) or tiny_model("llama", head_scale=0.3)
    data = {role: examples(8, seed=n) for n, role in enumerate(objective.roles)}
    return Trainer(model, objective, data, settings(**keys), folder=folder, pad_id=0, seed=3, hooks=hooks)


def history(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def score_of(name: str) -> Callable[[Sequence[Measure]], float | None]:
    return lambda measures: next(m.value for m in measures if m.name == name)
