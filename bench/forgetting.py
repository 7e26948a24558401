"""Forgetting SFT: the cost of scoring, of signed weights and of the whole, compared with the barest code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from rich.table import Table

from bench.forgetting_arms import ARMS, STAGES, Sample, measure
from bench.forgetting_rows import QUICK, Shape, stages
from bench.process import in_fresh_process
from bench.report import Plan, Report
from forgetting.benchmarks.published.reader import published_table
from forgetting.pipeline.run.stage import adapter_words


@dataclass(frozen=True)
class Comparison:
    """An arm beside another one of the same part."""

    what: str
    part: str
    ours: str
    theirs: str
    target: float | None = None
    """Aim for the wall time of `ours` as a multiple of that of `theirs`."""
    stage: str | None = None
    """Of the part `whole`: one stage of it; None: all."""


COMPARISONS = (
    Comparison("scoring ÷ forwards, whole logits", "scoring", "ours", "plain", 1.1),
    Comparison("scoring ÷ forwards, supervised logits", "scoring", "ours", "floor", 1.1),
    Comparison("epoch of forgetting ÷ of sft", "epoch", "forgetting", "sft", 1.03),
    Comparison("the whole ÷ bare loops", "whole", "ours", "floor", 1.1),
    *(Comparison(f"  {stage}", "whole", "ours", "floor", stage=stage) for stage in STAGES),
)


def run(plan: Plan) -> Report:
    """Every arm of every part `plan.rounds` times over, interleaved, each in a process of its own."""
    shape = QUICK if plan.quick else Shape()
    shape = replace(shape, threads=plan.threads or shape.threads)
    samples = []
    for index in range(plan.rounds):
        for part, arms in ARMS.items():
            for arm in arms:
                sample = in_fresh_process(["bench.forgetting_arms"], measure, part, arm, shape)
                plan.say(
                    f"round {index + 1}/{plan.rounds}  {part:7} {arm:10} {sample.seconds():7.2f} s  "
                    f"{sample.cpu():7.2f} cpu  waiting {sample.waiting:.0%}"
                )
                samples.append(sample)
    rows, over = [summary(c, samples) for c in COMPARISONS], overhead(samples)
    data = {
        "shape": asdict(shape),
        "settings": _settings(shape),
        "summary": rows,
        "overhead": over,
        "published_overhead": published_overhead(),
        "samples": [asdict(s) for s in samples],
    }
    return Report(_table(data, shape, plan.rounds), data)


def summary(comparison: Comparison, samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians over rounds; ratios are taken within a round first."""
    stage = comparison.stage
    ours, theirs = (_runs(samples, comparison.part, arm) for arm in (comparison.ours, comparison.theirs))
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "what": comparison.what.strip(),
        "seconds": median(s.seconds(stage) for s in ours),
        "their_seconds": median(s.seconds(stage) for s in theirs),
        "ratio": _spread([a.seconds(stage) / b.seconds(stage) for a, b in pairs]),
        "cpu_ratio": _spread([a.cpu(stage) / b.cpu(stage) for a, b in pairs]),
        "target": comparison.target,
        "waiting": max(s.waiting for s in (*ours, *theirs)),
    }


def overhead(samples: Sequence[Sample]) -> dict[str, Any]:
    """What the whole takes beyond an epoch of sft on the same train rows, as a share of that epoch."""
    full = _runs(samples, "epoch", "sft")
    found = {}
    for arm in ARMS["whole"]:
        pairs = list(zip(_runs(samples, "whole", arm), full, strict=True))
        found[arm] = {
            "time": _spread([a.seconds() / b.seconds() - 1 for a, b in pairs]),
            "cpu": _spread([a.cpu() / b.cpu() - 1 for a, b in pairs]),
        }
    return found


def published_overhead() -> dict[str, dict[str, float]]:
    """The same by Forgetting's table 11: by model and method, minutes of the whole over those of full tokens."""
    totals: dict[str, dict[str, float]] = {}
    for row in published_table("forgetting-table11").rows:
        value = row.values["total"].value
        if value is not None:
            totals.setdefault(row.labels["model"], {})[row.labels["method"]] = value
    return {
        model: {method: value / by["Full Tokens"] - 1 for method, value in by.items() if method != "Full Tokens"}
        for model, by in totals.items()
    }


def _runs(samples: Sequence[Sample], part: str, arm: str) -> list[Sample]:
    return [s for s in samples if (s.part, s.arm) == (part, arm)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "low": min(values), "high": max(values)}


def _settings(shape: Shape) -> dict[str, Any]:
    """How both stages train."""
    reference, train = stages(shape)
    return {stage.name: stage.model_dump(mode="json") for stage in (reference, train)}


def _words(ratio: dict[str, float], form: str = ".2f") -> str:
    return f"{ratio['median']:{form}} ({ratio['low']:{form}}–{ratio['high']:{form}})"


def _table(data: dict[str, Any], shape: Shape, rounds: int) -> Table:
    _, train = stages(shape)
    adapter = train.adapter_or_full
    how = f"{adapter_words(adapter)}, alpha {adapter.alpha:g}, dropout {adapter.dropout:g}; batch {train.batch_size}"
    table = Table(
        "",
        title=f"Forgetting SFT: {shape}; {how}; {rounds} rounds",
        caption=_caption(data),
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for column in ("first\ns", "second\ns", "\nratio", "\naim", "CPU time\nratio", "waiting\nat most"):
        table.add_column(column, justify="right")
    for comparison, row in zip(COMPARISONS, data["summary"], strict=True):
        table.add_row(
            comparison.what,
            f"{row['seconds']:.2f}",
            f"{row['their_seconds']:.2f}",
            _words(row["ratio"]),
            "" if row["target"] is None else f"{row['target']:.2f}",
            _words(row["cpu_ratio"]),
            f"{row['waiting']:.0%}",
        )
    return table


def _caption(data: dict[str, Any]) -> str:
    """The whole over an epoch of sft: ours, the bare loops', and the paper's."""
    ours, floor = (_words(data["overhead"][arm]["time"], "+.1%") for arm in ARMS["whole"])
    paper = "; ".join(
        f"{model} " + ", ".join(f"{method.lower()} {value:+.2%}" for method, value in by.items())
        for model, by in data["published_overhead"].items()
    )
    return (
        f"Time beyond an epoch of sft: the whole {ours}, bare loops {floor}.\n"
        f"The paper's table 11, on other machines and models: {paper}."
    )
