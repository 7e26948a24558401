"""The three ways to take the same training step, and the process that measures one of them.

floor   body and head once, all roles in one forward, the head on supervised positions only, cross-entropy: what no
        method on two roles can undercut without changing the arithmetic
ours    the Trainer's own step, with the stored reference where the method consults one
plain   as it is usually written: a forward per role, the full logits of the model's own forward, a second model as the
        reference
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from bench.process import Clock, Elapsed, Memory
from forgetting.core.cache import Cache
from forgetting.core.duration import Duration
from forgetting.data.encode import Encoded
from forgetting.objectives.methods import build_method
from forgetting.training.loop import Trainer
from forgetting.training.reference import Reference
from forgetting.training.settings import Optimisation
from forgetting.training.stage import Hooks
from forgetting.training.stored_reference import store_reference

ARMS = ("floor", "ours", "plain")
METHODS: dict[str, dict[str, object]] = {
    "graddiff": {},
    "ihl": {},
    "npo": {"beta": 0.1},
    "ga_kl": {"retain": "kl_from_reference"},
}
"""What is measured: the methods by name, with their settings. All but `ga_kl` retain by next-token cross-entropy."""
ROLES = ("forget", "retain")


Forward = Callable[..., Any]
"""A model, or a function that runs one: keyword arguments of its forward in, its output out."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a step: Llama's, untied, in fp32."""

    vocabulary: int = 128_256
    hidden: int = 256
    layers: int = 4
    rows: int = 8
    """Per role."""
    length: int = 256
    supervised: int = 64
    """Tokens per row, at its end."""
    threads: int = 2
    warm_up: int = 1
    steps: int = 3

    def __str__(self) -> str:
        return (
            f"Llama, hidden {self.hidden}, {self.layers} layers, vocabulary {self.vocabulary:,}, fp32, AdamW; "
            f"forget and retain {self.rows} × {self.length} tokens each, {self.supervised / self.length:.0%} "
            f"supervised; {self.threads} threads"
        )


QUICK = Shape(vocabulary=512, hidden=32, layers=1, rows=2, length=32, supervised=8, threads=1, steps=2)


@dataclass(frozen=True)
class Sample:
    """One process's measurement: `steps` without the warm-up, `losses` with it."""

    method: str
    arm: str
    steps: tuple[Elapsed, ...]
    peak_mib: float | None
    """Above weights and optimiser; a reference held in memory counts."""
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Prepared:
    """An arm before its first step: weights and optimiser exist, nothing else does."""

    optimizer: torch.optim.Optimizer
    start: Callable[[], Callable[[], float]]
    """Takes hold of the reference and gives the step, which returns its loss."""


def measure(arm: str, method: str, shape: Shape) -> Sample:
    """Times `shape.steps` steps of one arm. To be called in a fresh process."""
    torch.set_num_threads(shape.threads)
    torch.manual_seed(0)
    model = llama(shape)
    data = examples(shape)
    with tempfile.TemporaryDirectory() as folder:
        if arm == "ours":
            prepared = ours(model, data, method, shape, Path(folder))
        else:
            prepared = plain(model, data, method) if arm == "plain" else floor(model, data)
        _fill_optimizer(prepared.optimizer)
        memory = Memory()
        step = prepared.start()
        losses, times = [], []
        for _ in range(shape.warm_up + shape.steps):
            clock = Clock()
            losses.append(step())
            times.append(clock.read())
    return Sample(method, arm, tuple(times[shape.warm_up :]), memory.peak_mib(), tuple(losses))


def llama(shape: Shape) -> PreTrainedModel:
    """A random Llama in Llama 3.2 1B's proportions but for the head, which is not tied."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=shape.length,
    )
    return LlamaForCausalLM(config).train()


def examples(shape: Shape) -> dict[str, list[Encoded]]:
    """Random rows of each role, answer last."""
    weights = (0.0,) * (shape.length - shape.supervised) + (1.0,) * shape.supervised
    return {
        role: [
            Encoded(f"{role}-{i}", tuple(torch.randint(shape.vocabulary, (shape.length,)).tolist()), weights)
            for i in range(shape.rows)
        ]
        for role in ROLES
    }


def _fill_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Makes AdamW's moments by a step on zero gradients, which leaves the weights as they are."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    settings = Optimisation()
    return torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )


def ours(model: PreTrainedModel, data: dict[str, list[Encoded]], method: str, shape: Shape, folder: Path) -> Prepared:
    """The Trainer's step; `Trainer.run` would add the checkpoints between steps."""
    objective = build_method(method, METHODS[method])
    steps = shape.warm_up + shape.steps
    settings = Optimisation(batch_size=shape.rows, duration=Duration(steps, "steps"), collapse_at=None)
    losses: list[float] = []
    hooks = Hooks(track=lambda values, step: losses.append(values["loss"]))
    trainer = Trainer(model, objective, data, settings, folder=folder, pad_id=0, seed=0, hooks=hooks)

    def reference() -> Reference:
        return store_reference(model, objective, data, Cache(folder), pad_id=0)

    if objective.needs_reference:
        reference()  # computed and written here; `start` finds it on disk

    def start() -> Callable[[], float]:
        if objective.needs_reference:
            trainer.trained.step.reference = reference()
        numbers = iter(range(steps))

        def step() -> float:
            trainer._step(next(numbers))
            return losses[-1]

        return step

    return Prepared(trainer.optimizer, start)


@dataclass(frozen=True)
class Rows:
    """One role's rows as a collator would give them; the labels are already shifted, −100 where nothing is asked."""

    input_ids_BT: Tensor
    labels_BT: Tensor

    @property
    def mask_BT(self) -> Tensor:
        """Where a token is supervised."""
        return self.labels_BT != -100


def rows_of(encoded: Sequence[Encoded]) -> Rows:
    """Rows of equal length, so without padding."""
    ids_BT = torch.tensor([e.ids for e in encoded])
    labels_BT = torch.full_like(ids_BT, -100)
    labels_BT[:, :-1] = ids_BT[:, 1:].where(torch.tensor([e.weights for e in encoded])[:, 1:] != 0, -100)
    return Rows(ids_BT, labels_BT)


def floor(model: PreTrainedModel, data: dict[str, list[Encoded]]) -> Prepared:
    """Cross-entropy of all roles' supervised tokens at once."""
    optimizer = _adamw(model)
    rows = rows_of([e for role in ROLES for e in data[role]])

    def step() -> float:
        hidden_BTD = model.base_model(input_ids=rows.input_ids_BT, use_cache=False).last_hidden_state
        logits_NV = model.get_output_embeddings()(hidden_BTD[rows.mask_BT])
        loss = F.cross_entropy(logits_NV, rows.labels_BT[rows.mask_BT])
        del logits_NV
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return Prepared(optimizer, lambda: step)


def plain(model: PreTrainedModel, data: dict[str, list[Encoded]], method: str) -> Prepared:
    """The usual way, with the gradient clipping that is usual too."""
    optimizer = _adamw(model)
    forget, retain = rows_of(data["forget"]), rows_of(data["retain"])
    limit = Optimisation().max_grad_norm
    assert limit is not None

    def start() -> Callable[[], float]:
        reference = copy.deepcopy(model).eval() if build_method(method).needs_reference else model

        def step() -> float:
            loss = plain_loss(method, model, reference, forget, retain)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), limit)
            optimizer.step()
            optimizer.zero_grad()
            return loss.item()

        return step

    return Prepared(optimizer, start)


def plain_loss(method: str, model: Forward, reference: Forward, forget: Rows, retain: Rows) -> Tensor:
    """The method's loss on full logits, as its authors and open-unlearning write it."""
    match method:
        case "graddiff":
            return -_nll(model, forget) + _nll(model, retain)
        case "ihl":
            return _inverted_hinge(model, forget) + _nll(model, retain)
        case "npo":
            return _npo(model, reference, forget, beta=0.1) + _nll(model, retain)
        case "ga_kl":
            return -_nll(model, forget) + _kl(model, reference, retain)
    raise ValueError(f"no plain implementation of '{method}'")


def _logits(model: Forward, rows: Rows) -> Tensor:
    return model(input_ids=rows.input_ids_BT, use_cache=False).logits


def _nll(model: Forward, rows: Rows) -> Tensor:
    return F.cross_entropy(_logits(model, rows).flatten(0, 1), rows.labels_BT.flatten())


def _mean(values_BT: Tensor, rows: Rows) -> Tensor:
    return (values_BT * rows.mask_BT).sum() / rows.mask_BT.sum()


def _inverted_hinge(model: Forward, rows: Rows) -> Tensor:
    """1 + p(y) − max_{v≠y} p(v)."""
    probabilities_BTV = _logits(model, rows).softmax(-1)
    targets_BT1 = rows.labels_BT.clamp(min=0)[..., None]
    others_BT = probabilities_BTV.scatter(-1, targets_BT1, 0.0).max(-1).values
    return _mean(1 + probabilities_BTV.gather(-1, targets_BT1)[..., 0] - others_BT, rows)


def _npo(model: Forward, reference: Forward, rows: Rows, beta: float) -> Tensor:
    """−(2/β)·log σ(−β·log(π/π_ref)), mean over sequences."""

    def log_likelihood(which: Forward) -> Tensor:
        logits_NV = _logits(which, rows).flatten(0, 1)
        losses_N = F.cross_entropy(logits_NV, rows.labels_BT.flatten(), reduction="none")
        return -losses_N.view_as(rows.labels_BT).sum(-1)

    with torch.no_grad():
        theirs_B = log_likelihood(reference)
    return -(2 / beta) * F.logsigmoid(-beta * (log_likelihood(model) - theirs_B)).mean()


def _kl(model: Forward, reference: Forward, rows: Rows) -> Tensor:
    """KL(p_ref ‖ p), mean over supervised tokens."""
    with torch.no_grad():
        theirs_BTV = _logits(reference, rows).log_softmax(-1)
    log_probs_BTV = _logits(model, rows).log_softmax(-1)
    return _mean(F.kl_div(log_probs_BTV, theirs_BTV, reduction="none", log_target=True).sum(-1), rows)
