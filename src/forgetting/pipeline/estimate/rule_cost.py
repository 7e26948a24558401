"""What a gradient rule adds to a step, and what it computes before the first one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.objectives.gradient_rules import Foretells, LooksAhead, Preparation, Prepares
from forgetting.objectives.objective import Objective

_SIDE = 256
"""The side of the matrix whose eigenvectors are timed; others take as the cube of theirs."""


@dataclass(frozen=True)
class RuleCost:
    """Nothing for the plain sum."""

    again: float = 0.0
    """The tokens that are differentiated a second time, as a share of a step's."""
    held_bytes: int = 0
    """Gradients of parts, and a copy of the weights that are displaced."""
    kept_bytes: int = 0
    """What it keeps from before the first step, also in checkpoints; at most."""
    read_tokens: int = 0
    """Tokens that are forwarded before the first step."""
    seconds: float = 0.0
    """Of eigenvectors before the first step."""
    unknown: bool = False
    """Whether it prepares something and does not say what that takes."""


def rule_cost(
    model: nn.Module, objective: Objective, data: Mapping[str, Sequence[Encoded]], plan: StepPlan, trainable_bytes: int
) -> RuleCost:
    """What the objective's gradient rule costs beside one backward pass over all roles.

    Args:
        model: ready to be trained.
        objective: of the stage.
        data: by role.
        plan: of its steps.
        trainable_bytes: of the trained weights.
    """
    rule, parts, picks = objective.gradients, objective.parts, plan.at(0)

    def tokens(roles: Sequence[str]) -> int:
        return sum(len(data[role][i].ids) for role in roles for i in picks[role])

    ahead = isinstance(rule, LooksAhead)
    again = tokens(parts[0]) / max(1, tokens(objective.roles)) if ahead else 0.0
    held = (len(parts) * trainable_bytes if len(parts) > 1 else 0) + (trainable_bytes if ahead else 0)
    told = rule.foretold(model) if isinstance(rule, Foretells) else Preparation()
    read = {role: list(data[role][:count]) for role, count in told.rows.items()}
    seen = sum(len(row.ids) for rows in read.values() for row in rows)
    return RuleCost(
        again=again,
        held_bytes=held,
        kept_bytes=sum(side * min(side - 1, seen) * size for side, size in told.matrices),
        read_tokens=seen * told.passes,
        seconds=_of_eigenvectors([side for side, _ in told.matrices]),
        unknown=isinstance(rule, Prepares) and not isinstance(rule, Foretells),
    )


def _of_eigenvectors(sides: Sequence[int]) -> float:
    """Seconds of the eigenvectors of symmetric float64 matrices with these sides, by a timed one."""
    if not sides:
        return 0.0
    matrix = torch.eye(_SIDE, dtype=torch.float64)
    matrix += torch.arange(_SIDE, dtype=torch.float64).outer(torch.arange(_SIDE, dtype=torch.float64)) / _SIDE**2
    torch.linalg.eigh(matrix)
    began = time.perf_counter()
    torch.linalg.eigh(matrix)
    return (time.perf_counter() - began) * sum((side / _SIDE) ** 3 for side in sides)
