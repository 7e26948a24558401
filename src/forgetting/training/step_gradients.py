"""The gradient of one optimiser step, part by part if a gradient rule needs it, in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from accelerate.utils.memory import should_reduce_batch_size
from torch.distributed.tensor import DTensor

from forgetting.core.batch import Batch
from forgetting.core.processes import count, rank
from forgetting.data.plan import StepPlan
from forgetting.objectives.gradient_rules import Gradient, LooksAhead
from forgetting.objectives.objective import Objective
from forgetting.training.gradients import displaced, put, take
from forgetting.training.micro_batches import MicroBatches
from forgetting.training.prepared_model import Trained
from forgetting.training.processes import sum_gradients, sums


@dataclass(frozen=True)
class StepGradients:
    """Differentiates the steps of one stage.

    Attributes:
        trained: the prepared model with its parameters.
        objective: what is minimised, and the rule that combines gradients.
        plan: which examples a step sees.
        micro_batches: cuts a step; made smaller where memory ends.
        dtype: of autocast; None: without.
        seed: of the dropout.
        say: prints a line for the user.
    """

    trained: Trained
    objective: Objective
    plan: StepPlan
    micro_batches: MicroBatches
    dtype: torch.dtype | None
    seed: int
    say: Callable[[str], None]

    def __call__(self, step: int, weights: Sequence[float]) -> tuple[float, list[float], int]:
        """Computes the gradient of a 0-based step into the parameters.

        Each part of the roles that the gradient rule names is differentiated on its own rows only; the first one again
        at displaced weights, if the rule looks ahead.

        Returns:
            The step's loss, each term's unweighted value, and how many supervised tokens were seen.
        """
        parts, parameters, picks = self.objective.parts, self.trained.parameters, self.plan.at(step)
        total, values, tokens, gradients = 0.0, [0.0] * len(weights), 0, list[Gradient]()
        for number, roles in enumerate(parts):
            loss, shares, seen = self._part({role: picks[role] for role in roles}, step, number, weights)
            total, tokens = total + loss, tokens + seen
            values = [a + b for a, b in zip(values, shares, strict=True)]
            gradients.append(take(parameters))
        rule = self.objective.gradients
        if isinstance(rule, LooksAhead):
            with displaced(parameters, rule.ahead(gradients[0])):
                self._part({role: picks[role] for role in parts[0]}, step, 0, weights)
            gradients[0] = take(parameters)
        put(parameters, rule.combine(gradients))
        return total, values, tokens

    @torch.no_grad()
    def look(self, step: int, weights: Sequence[float]) -> tuple[float, list[float]]:
        """The loss and each term's unweighted value on the examples of a 0-based step, in evaluation mode.

        No gradient is computed, and the gradient rule is left alone.
        """
        picks, total, values = self.plan.at(step), 0.0, [0.0] * len(weights)
        self.trained.step.eval()
        for number, roles in enumerate(self.objective.parts):
            loss, shares, _ = self._part({role: picks[role] for role in roles}, step, number, weights)
            total, values = total + loss, [a + b for a, b in zip(values, shares, strict=True)]
        return total, values

    def _part(
        self, picks: Mapping[str, list[int]], step: int, number: int, weights: Sequence[float]
    ) -> tuple[float, list[float], int]:
        batches = self.micro_batches.of(picks)
        try:
            loss, values = self._differentiated(batches, step, number, weights)
        except RuntimeError as error:
            if not self._smaller(error, batches):
                raise
        else:
            return loss, values, sum(len(b.targets_N) for b in batches)
        return self._part(picks, step, number, weights)  # the failed pass and what it held are gone by now

    def _differentiated(
        self, batches: Sequence[Batch], step: int, number: int, weights: Sequence[float]
    ) -> tuple[float, list[float]]:
        return differentiate(
            self.trained,
            batches,
            weights=weights,
            denominators=self.objective.denominators(batches),
            # Dropout is a function of the step and the part: a resume repeats it.
            seed=self.seed * 1_000_003 + step + number * 1_000_000_007,
            dtype=self.dtype,
        )

    def _smaller(self, error: Exception, batches: Sequence[Batch]) -> bool:
        """Whether memory ended and the step can be taken again in smaller micro-batches, from gradients of None.

        Not with several processes: those that had enough memory wait for this one in the middle of the step.
        """
        if not should_reduce_batch_size(error) or count() > 1 or not self.micro_batches.halve(batches):
            return False
        for parameter in self.trained.parameters:
            parameter.grad = None
        if self.trained.device.type == "cuda":
            torch.cuda.empty_cache()
        self.say(f"out of memory: the step is taken again in {self.micro_batches}")
        return True


def differentiate(
    trained: Trained,
    batches: Sequence[Batch],
    *,
    weights: Sequence[float],
    denominators: Sequence[float],
    seed: int,
    dtype: torch.dtype | None,
) -> tuple[float, list[float]]:
    """Computes the step's gradients into the parameters, unless under `no_grad`.

    Returns its loss and each term's unweighted value.

    If sharded, all processes run the same number of passes, because each gathers weights from all. A process without a
    micro-batch runs another's with all weights 0, which adds exact zeros.

    Args:
        trained: the prepared model.
        batches: all of the step, in every process.
        seed: of the dropout, which is drawn for each micro-batch independently of its process.
        dtype: of autocast; None: without.
    """
    total, values = 0.0, [0.0] * len(weights)
    ahead = len(batches) % count()
    rounds = len(batches) + (count() - ahead if trained.sharded and ahead else 0)
    for number in range(rank(), rounds, count()):
        counts = number < len(batches)
        torch.manual_seed(seed + number * 998_244_353)
        batch = batches[number if counts else 0].to(trained.device)
        with torch.autocast(trained.device.type, dtype, enabled=dtype is not None):
            own = weights if counts else [0.0] * len(weights)
            share, shares = trained.step(batch, weights=own, denominators=denominators)
        if torch.is_grad_enabled():
            share.backward()
        if counts:
            total += share.item()
            values = [a + b for a, b in zip(values, shares, strict=True)]
    if torch.is_grad_enabled():
        sum_gradients([p for p in trained.parameters if not isinstance(p, DTensor)])  # a sharded one's are summed
    total, *values = sums([total, *values])
    return total, values
