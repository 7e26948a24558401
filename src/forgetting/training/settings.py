"""Optimisation settings of one stage, as written in a recipe."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from forgetting.core.duration import Duration
from forgetting.core.errors import RecipeError
from forgetting.core.strict import Strict


def _duration(value: Any) -> Duration:
    """A duration as written; pydantic adds the key to a ValueError alone."""
    try:
        return value if isinstance(value, Duration) else Duration.parse(value)
    except RecipeError as error:
        raise ValueError(str(error)) from error


DurationField = Annotated[
    Duration,
    BeforeValidator(_duration),
    PlainSerializer(str, return_type=str),
]


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimisation(Strict):
    """Optimiser, schedule, durations and guards of one stage; names as in other trainers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(1e-5, gt=0, le=1e30)
    batch_size: int = Field(
        16,
        gt=0,
        lt=2**31,
        description="Examples of the first role per optimiser step, for any micro-batch size. The other roles give as "
        "many; beside fewer examples than a batch they still fill one.",
    )
    micro_batch_size: int | None = Field(
        None, gt=0, lt=2**31, description="Examples of a role per forward; null: by tokens, rows of similar length."
    )
    packing: bool = Field(
        False,
        description="Examples share rows; the same loss up to rounding. Rows are padded if the model's family cannot.",
    )
    duration: DurationField = Field(
        Duration(1, "epochs"), description="'5 epochs', '60 steps' or '2e6 tokens'; '5 epochs, at least 60 steps'."
    )
    optimizer: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps with a learning rate rising from 0.")
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    max_grad_norm: float | None = Field(1.0, gt=0)
    evaluate_every: DurationField | None = Field(Duration(1, "epochs"), description="null: only at the end.")
    checkpoint_every: DurationField = Duration(1, "epochs")
    keep: Literal["best", "last"] = Field("last", description="best: the evaluated step with the highest balance.")
    collapse_at: float | None = Field(
        10.0,
        gt=1,
        description="Stop when the retain loss exceeds this multiple of its start (of 1 nat if that is more).",
    )
    mixed_precision: Literal["no", "bf16"] = "no"
    sharding: Literal["none", "full"] = Field(
        "none",
        description="With several processes (torchrun, accelerate launch), none: each has all weights; full: each has "
        "a part of weights, gradients and optimiser state (FSDP), and gathers the rest layer by layer.",
    )


def learning_rate_at(step: int, total: int, settings: Optimisation) -> float:
    """The learning rate of a 0-based step of `total`: linear warm-up, then the schedule."""
    warm = math.ceil(settings.warmup * total)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    left = (total - step) / max(total - warm, 1)
    if settings.schedule == "linear":
        return settings.learning_rate * left
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 - math.cos(math.pi * left))
    return settings.learning_rate
