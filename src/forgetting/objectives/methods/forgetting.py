"""Fine-tuning that learns good tokens and forgets bad ones, distinguished by the sign of their data weights."""

from __future__ import annotations

from collections.abc import Mapping

from forgetting.core.example import Role
from forgetting.objectives.losses import nll
from forgetting.objectives.methods.common import negative
from forgetting.objectives.methods.registry import register_method
from forgetting.objectives.objective import Average, Objective, Term

AS_WRITTEN: Mapping[str, object] = {"schedule": "forgetting", "t_min": 1e-4, "t_max": 0.25}


@register_method(
    "forgetting",
    paper="arXiv 2508.04329",
    when="Fine-tuning on data of mixed quality, with tokens signed as good or bad.",
)
def forgetting(forget_weight: object = AS_WRITTEN, average: Average = "token") -> Objective:
    """Forgetting SFT: nll(train, positive tokens) − λ(step)·nll(train, negative tokens) (Forgetting, eq. 8).

    Each sign is averaged over its own tokens in the step; a sign without tokens adds 0. λ is `forget_weight`: the
    schedule `{schedule: forgetting, t_min: …, t_max: …}`, (t_max − t_min)·step/total as the paper writes it (default
    t_min 1e-4, t_max 0.25); `{schedule: linear, start: …, end: …}`, which reaches its end; or a number.
    """
    return Objective(
        Term(Role.TRAIN, nll, average=average, name="positive"),
        Term(Role.TRAIN, nll, weight=negative(forget_weight), average=average, sign="negative", name="negative"),
    )


@register_method(
    "ignoring",
    paper="arXiv 2508.04329",
    when="The comparison with forgetting: bad tokens are left out, not unlearned.",
)
def ignoring(average: Average = "token") -> Objective:
    """Ignoring SFT: nll(train, positive tokens); the negative tokens' loss is only recorded (Forgetting, λ ≡ 0)."""
    return forgetting(0.0, average)
