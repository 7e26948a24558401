"""The ways to take a step with LoRA on one device, and the process's measurement of one of them.

floor, ours, plain   those of `real_arms`
ours, flash          ours with flash-attn's kernels in place of torch's own attention
cut                  plain, with losses by cut-cross-entropy: no logits
liger                plain, with Liger's fused head and loss: no logits
"""

from __future__ import annotations

import gc
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.gpu_model import Size, random_llama
from bench.process import Clock, Memory
from bench.real_arms import RANK, Load, LossOf, floor, ours, plain
from bench.step_arms import Forward, Rows, Shape, examples, plain_loss
from forgetting.data.encode import Encoded
from forgetting.models.adapters import AdapterSpec, InitialisationData, attach, resolve_targets
from forgetting.models.adapters.fila import Fila
from forgetting.training.importance import MeasuredFila, default_budget
from forgetting.training.preparation import prepare

PLAIN = {"graddiff": "graddiff", "npo": "npo", "loku": "ihl"}
"""What is measured, and the loss that plain implementations have for it: LoKU's is IHL."""
BETA = 0.1
"""NPO's, as in `plain_loss`."""
NEEDS = {"ours, flash": "flash_attn", "cut": "cut_cross_entropy", "liger": "liger_kernel"}
"""The package that an arm needs."""
ARMS: dict[str, tuple[str, ...]] = {
    "floor": ("graddiff",),
    "ours": ("graddiff", "npo", "loku"),
    "plain": ("graddiff", "npo", "loku"),
    "ours, flash": ("graddiff",),
    "cut": ("graddiff", "npo"),
    "liger": ("graddiff",),
}
"""By arm, the methods that it can take a step of: fused losses give no runner-up, Liger's no sum by sequence."""


@dataclass(frozen=True)
class Work:
    """How much a step and a measurement are."""

    device: str
    size: Size
    rows: int = 8
    """Per role."""
    length: int = 512
    supervised: int = 128
    steps: int = 5
    warm_up: int = 2
    read: int = 4
    """Examples of each role that FILA reads before LoKU's steps."""
    four_bits: bool = False


@dataclass(frozen=True)
class Step:
    """What the steps of one arm took."""

    seconds: float
    """The median step."""
    peak_mib: float | None
    """Above the model, its adapter and nothing else."""
    held_mib: float | None
    """The model and its adapter."""
    losses: tuple[float, ...]
    prepare_seconds: float = 0.0
    """To attach the adapter, its initialisation included."""


def missing(arm: str) -> str:
    """Why an arm cannot be measured here; empty if it can."""
    package = NEEDS.get(arm)
    return "" if package is None or installed(package) else f"{package} is not installed"


def installed(package: str) -> bool:
    """Whether it can be imported, as far as that is known without doing so."""
    return importlib.util.find_spec(package) is not None


def measure(arm: str, method: str, work: Work) -> Step:
    """Times the steps of one arm on a model of its own, which is freed afterwards."""
    gc.collect()
    attention = "flash_attention_2" if arm == "ours, flash" else "sdpa"
    empty = Memory(work.device)
    model = random_llama(work.size, work.device, attention=attention, four_bits=work.four_bits)
    torch.manual_seed(1)
    shape = Shape(work.size.vocabulary, rows=work.rows, length=work.length, supervised=work.supervised)
    data = examples(shape)
    load = Load("", rows=work.rows, warm_up=work.warm_up, steps=work.steps)
    clock = Clock(work.device)
    with tempfile.TemporaryDirectory() as folder:
        if arm.startswith("ours"):
            fitted = attach_to(model, method, data, work)
            step = ours(fitted, data, method, load, 0, Path(folder))
        elif arm == "floor":
            step = floor(model, data, "all-linear")
        else:
            loss = {"plain": plain_loss, "cut": _with_losses(_cut), "liger": _with_losses(_liger)}[arm]
            step = plain(model, data, PLAIN[method], 0, "all-linear", loss)
        prepared = clock.read().wall
        held, memory = empty.held_mib(), Memory(work.device)
        losses, times = [], []
        for _ in range(work.warm_up + work.steps):
            clock = Clock(work.device)
            losses.append(step())
            times.append(clock.read().wall)
    return Step(median(times[work.warm_up :]), memory.peak_mib(), held, tuple(losses), prepared)


def attach_to(model: nn.Module, method: str, data: dict[str, list[Encoded]], work: Work) -> nn.Module:
    """The model with our adapter; LoKU's starts by FILA, from the data."""
    kind: Literal["qlora", "lora"] = "qlora" if work.four_bits else "lora"
    spec, prepared = AdapterSpec(kind=kind, rank=RANK, targets="all"), {}
    if method == "loku":
        spec = AdapterSpec(kind=kind, rank=RANK, targets="all", init=Fila())
        read = InitialisationData({role: rows[: work.read] for role, rows in data.items()}, pad_id=0)
        init = MeasuredFila(budget=default_budget(next(model.parameters()).device))
        prepared = prepare(init, model, resolve_targets(model, "all"), read)
    return attach(model, spec, name="bench", seed=0, prepared=prepared)


TokenLosses = Callable[[Tensor, Tensor, Tensor, str], Tensor]
"""Hidden states `[N, D]`, the head `[V, D]`, targets `[N]`, a reduction -> losses, without logits."""


def _cut(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, reduction: str) -> Tensor:
    from cut_cross_entropy import linear_cross_entropy

    return linear_cross_entropy(hidden_ND, weight_VD, targets_N, reduction=reduction)


def _liger(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, reduction: str) -> Tensor:
    from liger_kernel.transformers.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyLoss

    return LigerFusedLinearCrossEntropyLoss(reduction=reduction)(weight_VD, hidden_ND, targets_N)


def _with_losses(losses: TokenLosses) -> LossOf:
    """`plain_loss` of graddiff and npo with losses that make no logits but a row's last."""

    def loss(method: str, model: Forward, reference: Forward, forget: Rows, retain: Rows) -> Tensor:
        weight_VD = cast(nn.Module, model).get_base_model().get_output_embeddings().weight  # type: ignore[operator]

        def of(which: Forward, rows: Rows, reduction: str) -> Tensor:
            found = which(input_ids=rows.input_ids_BT, use_cache=False, output_hidden_states=True, logits_to_keep=1)
            return losses(found.hidden_states[-1].flatten(0, 1), weight_VD, rows.labels_BT.flatten(), reduction)

        def log_likelihood(which: Forward) -> Tensor:
            return -of(which, forget, "none").view_as(forget.labels_BT).sum(-1)

        if method == "graddiff":
            return of(model, retain, "mean") - of(model, forget, "mean")
        with torch.no_grad():
            theirs_B = log_likelihood(reference)
        return -(2 / BETA) * F.logsigmoid(-BETA * (log_likelihood(model) - theirs_B)).mean() + of(model, retain, "mean")

    return loss
