"""FILA's initialisation: ours beside the procedure of the released code, in time, memory and what it is worth.

naive   as the released code does it: one example at a time, the squared gradient of every parameter added up in full,
        for the forget and for the retain data; then a full singular value decomposition of every target matrix
ours    `forgetting.training.preparation.prepare` and `forgetting.models.adapters.attach`
split   the same with a quarter of the memory for sums, so in several passes over the data

All use the same ε. The error is ‖diag(w)(W − s·B₀A₀)‖_F of all targets together, over the smallest that any matrices of
that rank have, with the arm's own w.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from bench.process import Clock, Elapsed, Memory, in_fresh_process
from bench.report import Plan, Report
from forgetting.data.encode import Encoded
from forgetting.models.adapters import AdapterSpec, InitialisationData, attach, linear_layers, resolve_targets
from forgetting.models.adapters.fila import Fila, row_weights
from forgetting.models.adapters.lora import effective_weight, lora_layers
from forgetting.training.fisher import shape_of
from forgetting.training.importance import MeasuredFila, bytes_for, default_budget
from forgetting.training.preparation import prepare

ARMS = ("naive", "ours", "split")
ERROR_TARGET = 1.001
"""The weighted error over the smallest possible one."""
SPEC = AdapterSpec(rank=16, alpha=32, init=Fila())

Start = dict[str, tuple[Tensor, Tensor, Tensor]]
"""Of each target: w `[out]`, B₀ `[out, r]`, A₀ `[r, in]`."""


@dataclass(frozen=True)
class Shape:
    """Examples and model: Llama's, untied, in fp32."""

    examples: int = 32
    """Of each role."""
    length: int = 128
    hidden: int = 512
    layers: int = 6
    vocabulary: int = 4_096
    threads: int = 2

    def __str__(self) -> str:
        return (
            f"{self.examples} + {self.examples} examples x {self.length} tokens; hidden {self.hidden}, {self.layers} "
            f"layers, vocabulary {self.vocabulary:,}; all matrices, rank {SPEC.rank}; {self.threads} threads"
        )


QUICK = Shape(examples=2, length=16, hidden=64, layers=2, vocabulary=97)


@dataclass(frozen=True)
class Sample:
    """One initialisation."""

    arm: str
    importance: float
    """Seconds."""
    decomposition: float
    cpu: float
    """Seconds of processor time of both."""
    peak_mib: float | None
    """Above the model and the data."""
    error: float
    waiting: float

    @property
    def seconds(self) -> float:
        """Both parts."""
        return self.importance + self.decomposition


def run(plan: Plan) -> Report:
    """Every arm `plan.rounds` times over, interleaved, each in a process of its own."""
    shape = QUICK if plan.quick else Shape()
    shape = replace(shape, threads=plan.threads or shape.threads)
    samples = []
    for index in range(plan.rounds):
        for arm in ARMS:
            sample = in_fresh_process(["bench.fila"], measure, arm, shape)
            peak = "?" if sample.peak_mib is None else f"{sample.peak_mib:,.0f}"
            plan.say(
                f"round {index + 1}/{plan.rounds}  {arm:5} {sample.importance:6.2f} + {sample.decomposition:5.2f} s  "
                f"{sample.cpu:6.2f} cpu  "
                f"{peak:>5} MiB  error {sample.error:.6f}  waiting {sample.waiting:.0%}"
            )
            samples.append(sample)
    rows = [summary(arm, samples) for arm in ARMS]
    data = {
        "shape": asdict(shape),
        "target": {"error": ERROR_TARGET},
        "summary": rows,
        "samples": [asdict(s) for s in samples],
    }
    return Report(_table(rows, shape, plan.rounds), data)


def measure(arm: str, shape: Shape) -> Sample:
    """One initialisation of a fresh model, after a small one as warm-up."""
    torch.set_num_threads(shape.threads)
    small = replace(QUICK, threads=shape.threads)
    start(arm, model_of(small), *data_of(small))
    model, (forget, retain) = model_of(shape), data_of(shape)
    weights = {name: effective_weight(layer) for name, layer in linear_layers(model).items()}
    memory = Memory()
    found, first, second = start(arm, model, forget, retain)
    peak = memory.peak_mib()
    waiting = max(first.waiting, second.waiting)
    return Sample(arm, first.wall, second.wall, first.cpu + second.cpu, peak, error_of(found, weights), waiting)


def start(
    arm: str, model: PreTrainedModel, forget: Sequence[Encoded], retain: Sequence[Encoded]
) -> tuple[Start, Elapsed, Elapsed]:
    """What an arm starts the adapter from, and how long importance and decomposition took."""
    device = model.device.type
    clock = Clock(device)
    modules = resolve_targets(model, SPEC.targets)
    if arm == "naive":
        importance = naive_importance(model, forget, retain, modules)
    else:
        budget = _quarter(model) if arm == "split" else default_budget(model.device)
        data = InitialisationData({"forget": forget, "retain": retain}, pad_id=0)
        importance = prepare(MeasuredFila(budget=budget), model, modules, data)
    measured = clock.read()
    clock = Clock(device)
    if arm == "naive":
        found = naive_factors(model, importance)
    else:
        adapted = attach(model, SPEC, name="unlearn", seed=0, prepared=importance)
        found = {
            name: (importance[name], layer.lora_B["unlearn"].weight.detach(), layer.lora_A["unlearn"].weight.detach())
            for name, layer in lora_layers(adapted, "unlearn").items()
        }
    return found, measured, clock.read()


def naive_importance(
    model: PreTrainedModel, forget: Sequence[Encoded], retain: Sequence[Encoded], modules: Sequence[str]
) -> dict[str, Tensor]:
    """w by two accumulators as large as the model."""
    on_forget, on_retain = _all_squares(model, forget), _all_squares(model, retain)
    return {name: row_weights(on_forget[f"{name}.weight"], on_retain[f"{name}.weight"]) for name in modules}


def _all_squares(model: PreTrainedModel, examples: Sequence[Encoded]) -> dict[str, Tensor]:
    sums = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for example in examples:
        ids = torch.tensor([example.ids])
        (example.supervised * model(input_ids=ids, labels=ids, use_cache=False).loss).backward()
        for name, p in model.named_parameters():
            if p.grad is not None:
                sums[name] += p.grad.square()
        model.zero_grad()
    return {name: total / len(examples) for name, total in sums.items()}


@torch.no_grad()
def naive_factors(model: PreTrainedModel, importance: Mapping[str, Tensor]) -> Start:
    """B₀ and A₀ by a full decomposition and a division by w."""
    layers, scaling = linear_layers(model), SPEC.scaled_alpha / SPEC.rank
    found: Start = {}
    for name, exact_w in importance.items():
        w = exact_w.float()
        u, s, v = torch.linalg.svd(w[:, None] * effective_weight(layers[name]), full_matrices=False)
        root = (s[: SPEC.rank] / scaling).sqrt()
        found[name] = exact_w, u[:, : SPEC.rank] * root / w[:, None], root[:, None] * v[: SPEC.rank]
    return found


@torch.no_grad()
def error_of(found: Start, weights: Mapping[str, Tensor]) -> float:
    """‖diag(w)(W − s·B₀A₀)‖_F of all targets together, over the smallest possible one, in float64."""
    reached = smallest = 0.0
    for name, (w, b, a) in found.items():
        weighted = w[:, None] * weights[name].double()
        part = SPEC.scaled_alpha / SPEC.rank * b.double() @ a.double()
        reached += float((weighted - w[:, None] * part).square().sum())
        smallest += float(torch.linalg.svdvals(weighted)[SPEC.rank :].square().sum())
    return math.sqrt(reached / smallest)


def model_of(shape: Shape) -> PreTrainedModel:
    """A random Llama."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=8 * shape.hidden // 3,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 32,
        num_key_value_heads=shape.hidden // 32,
    )
    return LlamaForCausalLM(config).eval()


def data_of(shape: Shape) -> tuple[list[Encoded], list[Encoded]]:
    """Random forget and retain examples, all tokens but the first supervised."""
    ids = torch.randint(3, shape.vocabulary, (2, shape.examples, shape.length), generator=torch.manual_seed(1))
    weights = (0.0, *(1.0,) * (shape.length - 1))
    forget, retain = ([Encoded(str(i), tuple(row), weights) for i, row in enumerate(rows)] for rows in ids.tolist())
    return forget, retain


def _quarter(model: PreTrainedModel) -> int:
    shapes = [shape_of(layer) for layer in linear_layers(model).values()]
    return max(bytes_for(shapes) // 4, *(bytes_for([shape]) for shape in shapes))


def summary(arm: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians over rounds; the ratio to the naive arm is taken within a round first."""
    mine, naive = ([s for s in samples if s.arm == name] for name in (arm, "naive"))
    pairs = list(zip(mine, naive, strict=True))
    peaks = [s.peak_mib for s in mine if s.peak_mib is not None]
    return {
        "arm": arm,
        "importance": median(s.importance for s in mine),
        "decomposition": median(s.decomposition for s in mine),
        "cpu": median(s.cpu for s in mine),
        "ratio": _spread([theirs.seconds / ours.seconds for ours, theirs in pairs]),
        "cpu_ratio": _spread([theirs.cpu / ours.cpu for ours, theirs in pairs]),
        "peak_mib": median(peaks) if peaks else None,
        "error": max(s.error for s in mine),
        "waiting": max(s.waiting for s in mine),
    }


def _spread(ratios: Sequence[float]) -> dict[str, float]:
    return {"median": median(ratios), "low": min(ratios), "high": max(ratios)}


def _words(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.1f} ({ratio['low']:.1f}–{ratio['high']:.1f})"


def _table(rows: Sequence[dict[str, Any]], shape: Shape, rounds: int) -> Table:
    title = f"FILA's initialisation: {shape}; {rounds} rounds"
    table = Table("", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    columns = (
        "importance\ns",
        "decomposition\ns",
        "times\nfaster",
        "times less\nCPU time",
        "\nMiB",
        "error ÷\nsmallest",
        "\naim",
        "waiting\nat most",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row["arm"],
            f"{row['importance']:.2f}",
            f"{row['decomposition']:.2f}",
            _words(row["ratio"]),
            _words(row["cpu_ratio"]),
            "?" if row["peak_mib"] is None else f"{row['peak_mib']:,.0f}",
            f"{row['error']:.6f}",
            f"{ERROR_TARGET:.3f}",
            f"{row['waiting']:.0%}",
        )
    return table
