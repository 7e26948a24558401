"""What analyses will take, before they are computed: seconds on this machine when free, memory besides the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from forgetting.analysis import ANALYSES, Compared
from forgetting.analysis.cost import Known, Rows, Shape, Work
from forgetting.analysis.rates import measured_rates
from forgetting.core.example import Example
from forgetting.data.formatting import Formatting
from forgetting.models.adapters.factors import added_factors
from forgetting.models.head import causal_model
from forgetting.pipeline.finished_run.plugged import Chosen
from forgetting.pipeline.run.environment import held_memory
from forgetting.report import wording

WITHIN = 2.5
"""The worst factor between the time of an analysis and its estimate that was measured; see `docs/log.md`."""
_LIBRARIES = 2**26
"""Measured bytes of libraries and of what Python holds meanwhile."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one analysis."""

    seconds: float
    bytes: float
    parts: Mapping[str, float]
    """Seconds by the kind of operation."""

    def __str__(self) -> str:
        return f"{wording.seconds(self.seconds)}, {wording.size(round(self.bytes))}"


def expected_costs(asked: Sequence[Chosen[Any]], compared: Compared) -> dict[str, Expected]:
    """By name, what these analyses take one after another; those from outside that do not say it are left out.

    The model after is timed for about a second.

    Args:
        asked: the analyses, in order.
        compared: what they will be given.

    Raises:
        ForgettingError: the model cannot be timed, or an example cannot be encoded.
    """
    views = [compared.start, compared.after]
    if compared.oracle is not None and compared.against != "oracle":
        views.append(compared.oracle)
    with compared.after.active() as model:
        return costs_on(
            model,
            compared.tokenizer,
            asked,
            compared.examples,
            formatting=compared.formatting,
            views=len(views),
            rank=_rank(compared),
        )


def costs_on(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Chosen[Any]],
    examples: Mapping[str, Sequence[Example]],
    *,
    formatting: Formatting,
    views: int,
    rank: int,
) -> dict[str, Expected]:
    """The same, of models of the size of this one, which is timed.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        asked: the analyses, in order.
        examples: by role.
        formatting: of the examples.
        views: models that an analysis of each model by itself reads; their weights are looked at after each analysis,
            and once before the first.
        rank: of the change, where it is that of adapters on one set of weights; else 0.
    """
    if not any(examples.values()):
        return {}
    rows = {role: Rows.of(some, tokenizer, formatting) for role, some in examples.items() if some}
    known = Known(Shape.of(model), rows, views=views, thin=rank)
    rates = measured_rates(model, tokenizer, _some(examples), formatting)
    hashed = views * weights_bytes(model)
    found = {one.name: expected_cost(one, known, rates, hashed * (1 if n else 2)) for n, one in enumerate(asked)}
    return {name: expected for name, expected in found.items() if expected is not None}


def expected_cost(one: Chosen[Any], known: Known, rates: Work, hashed: float = 0.0) -> Expected | None:
    """What an analysis takes at these rates; None: it does not say it."""
    count = ANALYSES.get(one.name).settings.get("cost")
    if count is None:
        return None
    cost = count(known, one.parameters)
    parts = (cost.work + Work(hashed=hashed)).seconds(rates)
    return Expected(sum(parts.values()), max(cost.bytes + _LIBRARIES, known.shape.copied), parts)


def weights_bytes(model: nn.Module) -> int:
    """Bytes of all weights of a model."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


def said(found: Mapping[str, Expected]) -> list[str]:
    """A line for a terminal: in all, then by analysis."""
    if not found:
        return []
    seconds = wording.seconds(sum(one.seconds for one in found.values()))
    most = wording.size(round(max(one.bytes for one in found.values())))
    each = "; ".join(f"{name} {one}" for name, one in found.items())
    total = wording.size(held_memory() + round(max(one.bytes for one in found.values())))
    return [
        f"analyses: about {seconds} where nothing else runs, at most {total} of memory, {most} of it besides the "
        f"models ({each}); single ones took up to {WITHIN:g} times more or less"
    ]


def _some(examples: Mapping[str, Sequence[Example]]) -> list[Example]:
    return max((list(some) for some in examples.values()), key=len, default=[])[:64]


def _rank(compared: Compared) -> int:
    """Of the change, where both models are views of one set of weights; else 0."""
    start, after = compared.start, compared.after
    if causal_model(start.model) is not causal_model(after.model):  # one of them may have PEFT's wrapper
        return 0
    names = [n for n in (*start.adapters, *after.adapters) if (n in start.adapters) != (n in after.adapters)]
    found = added_factors(cast(PreTrainedModel, after.model), names)
    return max((left.shape[1] for left, _ in found.values()), default=1)
