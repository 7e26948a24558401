"""Extraction likelihood: ours compared with the naive procedure, at two levels of memorization.

naive   as the released code does it: for every prefix length, all sequences together, greedy decoding with a key/value
        cache from the prefix to the full length (a plain loop, without the cost of `generate`)
ours    `forgetting.evaluation.extraction.continue_all`

Both give every prefix's continuation; the overlaps are the same work for both and are left out. The model is random,
and a sequence is memorized by construction: each token is the greedy one with the wanted probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.cache_utils import DynamicCache

from bench.process import Clock, in_fresh_process
from bench.report import Plan, Report
from forgetting.evaluation.extraction import Verbatim, continue_all

TARGETS = {0.93: 15.0, 0.3: 2.5}
"""How many times faster than the naive procedure, by the share of greedy tokens that the sequences are built with."""
N = 10

Continuations = list[Mapping[int, Sequence[int]]]


@dataclass(frozen=True)
class Shape:
    """Sequences and model: Llama's, untied, in fp32."""

    sequences: int = 16
    length: int = 200
    hidden: int = 128
    layers: int = 4
    vocabulary: int = 4_096
    threads: int = 2

    def __str__(self) -> str:
        return (
            f"{self.sequences} sequences x {self.length} tokens; hidden {self.hidden}, {self.layers} layers, "
            f"vocabulary {self.vocabulary:,}; {self.threads} threads"
        )


QUICK = Shape(sequences=2, length=24, hidden=32, layers=2, vocabulary=97)


@dataclass(frozen=True)
class Sample:
    """Both procedures once, on the same sequences, one after the other."""

    level: float
    accuracy: float
    """The sequences' memorization accuracy."""
    naive: tuple[float, float]
    """Seconds: wall time, processor time."""
    ours: tuple[float, float]
    equal: float
    """Share of continuations that are the same: rounding in fp32 may turn a near tie."""
    waiting: float


def run(plan: Plan) -> Report:
    """Both levels, `plan.rounds` times over, interleaved, each pair in a process of its own."""
    shape = QUICK if plan.quick else Shape()
    shape = replace(shape, threads=plan.threads or shape.threads)
    samples = []
    for index in range(plan.rounds):
        for level in TARGETS:
            sample = in_fresh_process(["bench.el"], measure, level, shape)
            times = f"{sample.naive[1]:.2f} s, {sample.ours[1]:.2f} s"
            plan.say(f"round {index + 1}/{plan.rounds}  MA {sample.accuracy:.2f}  {times}")
            samples.append(sample)
    rows = [summary(level, samples) for level in TARGETS]
    data = {"shape": asdict(shape), "summary": rows, "samples": [asdict(s) for s in samples]}
    return Report(_table(rows, shape, plan.rounds), data)


def measure(level: float, shape: Shape) -> Sample:
    """One run of both."""
    torch.set_num_threads(shape.threads)
    model = _model(shape)
    ids = _memorized(model, level, shape)
    sequences = [Verbatim(tuple(row)) for row in ids.tolist()]
    naive(model, ids[:, : N + 4])  # warm-up
    continue_all(model, [Verbatim(s.ids[: N + 4]) for s in sequences], shortest=N)
    clock = Clock()
    found = continue_all(model, sequences, shortest=N)
    ours = clock.read()
    clock = Clock()
    expected = naive(model, ids)
    theirs = clock.read()
    hits = [rank == 0 for continued in found for rank in continued.score.ranks]
    same = [
        tuple(tokens) == tuple(continued.continuations[start])
        for continued, plain in zip(found, expected, strict=True)
        for start, tokens in plain.items()
    ]
    return Sample(
        level=level,
        accuracy=sum(hits) / len(hits),
        naive=(theirs.wall, theirs.cpu),
        ours=(ours.wall, ours.cpu),
        equal=sum(same) / len(same),
        waiting=max(ours.waiting, theirs.waiting),
    )


@torch.no_grad()
def naive(model: PreTrainedModel, ids_BT: torch.Tensor) -> Continuations:
    """Every prefix length 1 ... T-n by itself."""
    rows: list[dict[int, Sequence[int]]] = [{} for _ in ids_BT]
    length = ids_BT.shape[1]
    for start in range(1, length - N + 1):
        cache, feed_BT, written = DynamicCache(), ids_BT[:, :start], []
        for _ in range(start, length):
            feed_BT = model(feed_BT, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1:].argmax(-1)
            written.append(feed_BT)
        for row, tokens in zip(rows, torch.cat(written, dim=1).tolist(), strict=True):
            row[start] = tokens
    return list(rows)


def _model(shape: Shape) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 32,
        num_key_value_heads=shape.hidden // 32,
        initializer_range=0.2,  # far from uniform, so that rounding seldom turns the greedy choice
    )
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def _memorized(model: PreTrainedModel, level: float, shape: Shape) -> torch.Tensor:
    """`[B, T]`: each token is the greedy one with probability `level`, else any."""
    random = torch.Generator().manual_seed(1)
    ids_BT = torch.randint(shape.vocabulary, (shape.sequences, 1), generator=random)
    cache = DynamicCache()
    while ids_BT.shape[1] < shape.length:
        greedy_B1 = model(ids_BT[:, -1:], past_key_values=cache, use_cache=True).logits.argmax(-1)
        other_B1 = torch.randint(shape.vocabulary, greedy_B1.shape, generator=random)
        keep_B1 = torch.rand(greedy_B1.shape, generator=random) < level
        ids_BT = torch.cat([ids_BT, torch.where(keep_B1, greedy_B1, other_B1)], dim=1)
    return ids_BT


def summary(level: float, samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians over rounds; a ratio is taken within a round first. Times and ratios: wall, processor."""
    mine = [s for s in samples if s.level == level]
    ratios = [[s.naive[w] / s.ours[w] for s in mine] for w in (0, 1)]
    return {
        "accuracy": float(np.mean([s.accuracy for s in mine])),
        "naive": [median(s.naive[w] for s in mine) for w in (0, 1)],
        "ours": [median(s.ours[w] for s in mine) for w in (0, 1)],
        "ratio": [{"median": median(r), "low": min(r), "high": max(r)} for r in ratios],
        "target": TARGETS[level],
        "equal": min(s.equal for s in mine),
        "waiting": max(s.waiting for s in mine),
    }


def _table(rows: Sequence[dict[str, Any]], shape: Shape, rounds: int) -> Table:
    title = f"Extraction likelihood, every prefix continued: {shape}; {rounds} rounds; wall / processor seconds"
    table = Table("MA", title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("naive\ns", "ours\ns", "times\nfaster", "\naim", "same\ncontinuations", "waiting\nat most"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row['accuracy']:.2f}",
            "/".join(f"{t:.1f}" for t in row["naive"]),
            "/".join(f"{t:.1f}" for t in row["ours"]),
            " / ".join(f"{r['median']:.1f} ({r['low']:.1f}–{r['high']:.1f})" for r in row["ratio"]),
            f"{row['target']:.1f}",
            f"{row['equal']:.2%}",
            f"{row['waiting']:.0%}",
        )
    return table
