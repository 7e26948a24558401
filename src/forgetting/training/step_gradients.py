"""The gradient of one optimiser step, part by part where a gradient rule asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from forgetting.core.processes import count
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.objectives.objective import Objective
from forgetting.training.gradients import put, take
from forgetting.training.micro_batches import micro_batches
from forgetting.training.prepared_model import Trained
from forgetting.training.settings import Optimisation
from forgetting.training.step import differentiate


@dataclass(frozen=True)
class StepGradients:
    """Differentiates the steps of one stage.

    Attributes:
        trained: the model made ready, its parameters.
        objective: what is minimised, and the rule by which gradients are combined.
        plan: which examples a step sees.
        data: encoded examples by role.
        settings: micro-batches and precision.
        pad_id: the id rows are filled up with.
        packed: examples of a role share rows.
        seed: of the dropout.
    """

    trained: Trained
    objective: Objective
    plan: StepPlan
    data: Mapping[str, Sequence[Encoded]]
    settings: Optimisation
    pad_id: int
    packed: bool
    seed: int

    def __call__(self, step: int, weights: Sequence[float]) -> tuple[float, list[float], int]:
        """Leaves the gradient of a 0-based step in the parameters.

        Each part of the roles that the gradient rule names is differentiated on its own rows alone.

        Returns:
            The step's loss, each term's unweighted value, and how many supervised tokens were seen.
        """
        parts, parameters, picks = self.objective.parts, self.trained.parameters, self.plan.at(step)
        total, values, tokens, gradients = 0.0, [0.0] * len(weights), 0, []
        for number, roles in enumerate(parts):
            loss, shares, seen = self._part({role: picks[role] for role in roles}, step, number, weights)
            total, tokens = total + loss, tokens + seen
            values = [a + b for a, b in zip(values, shares, strict=True)]
            if len(parts) > 1:
                gradients.append(take(parameters))
        if gradients:
            put(parameters, self.objective.gradients.combine(gradients))
        return total, values, tokens

    def _part(
        self, picks: Mapping[str, list[int]], step: int, number: int, weights: Sequence[float]
    ) -> tuple[float, list[float], int]:
        batches = micro_batches(
            picks,
            self.data,
            self.settings.micro_batch_size,
            pad_id=self.pad_id,
            packed=self.packed,
            processes=count(),
        )
        loss, values = differentiate(
            self.trained.step,
            batches,
            self.trained.parameters,
            weights=weights,
            denominators=self.objective.denominators(batches),
            # Dropout is a function of the step and the part: a resume repeats it.
            seed=self.seed * 1_000_003 + step + number * 1_000_000_007,
            device=self.trained.device,
            dtype=torch.bfloat16 if self.settings.mixed_precision == "bf16" else None,
            in_lockstep=self.trained.sharded,
        )
        return loss, values, sum(len(b.targets_N) for b in batches)
