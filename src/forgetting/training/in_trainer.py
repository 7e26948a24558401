"""Objectives inside another loop: transformers' `Trainer`, and what derives from it, such as TRL's `SFTTrainer`.

One row of the trainer's data is one optimiser step, since an objective's averages are over the step whatever its
micro-batches are: these are cut here, and the trainer sees one loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from torch.utils.data import SequentialSampler

from forgetting.core.errors import RecipeError
from forgetting.core.processes import count
from forgetting.data.encode import Encoded
from forgetting.data.plan import StepPlan
from forgetting.objectives.objective import Objective
from forgetting.runs.output import OutputFolder
from forgetting.training.learner import Learner
from forgetting.training.micro_batches import MicroBatches, pass_tokens
from forgetting.training.reference import Reference, no_reference
from forgetting.training.stored_reference import store_reference


class UnlearningSteps:
    """The optimiser steps of a stage, the `train_dataset` of a trainer with `Unlearning`.

    Args:
        objective: what is minimised.
        data: encoded examples by role.
        steps: how many there are.
        batch_size: examples of the first role per step; the others give as many.
        pad_id: the id that pads rows.
        seed: of the order of the examples; a run of a recipe with this seed sees the same.
        micro_batch_size: examples of a role per forward; None: by tokens, rows of similar length.

    Raises:
        RecipeError: the objective needs more of its loop than a loss: a gradient rule, or a term with a state.
        DataError: a role has no examples.
    """

    def __init__(
        self,
        objective: Objective,
        data: Mapping[str, Sequence[Encoded]],
        *,
        steps: int,
        batch_size: int,
        pad_id: int,
        seed: int = 0,
        micro_batch_size: int | None = None,
    ) -> None:
        if len(objective.parts) > 1 or any(term.state is not None for term in objective.terms):
            raise RecipeError(
                "this method needs gradients apart or a state between steps, which a trainer's loss cannot give; run "
                "it with forget run or forgetting.unlearn"
            )
        self.objective, self.steps, self.pad_id = objective, steps, pad_id
        self.data = {role: data[role] for role in objective.roles}
        sizes = {role: len(members) for role, members in self.data.items()}
        self.plan = StepPlan(sizes, batch_size, seed, objective.partners)
        self.micro_batch_size = micro_batch_size

    @property
    def arguments(self) -> dict[str, Any]:
        """What the trainer's arguments must say: `SFTConfig(…, **steps.arguments)`."""
        return {
            "max_steps": self.steps,
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "remove_unused_columns": False,
        }

    def numbers(self) -> Dataset:
        """The data set that the trainer sees: a row for each step, with its number."""
        return Dataset.from_dict({"step": list(range(self.steps))})


class Unlearning:
    """The loss of an objective for a trainer: `class Unlearner(Unlearning, SFTTrainer): pass`.

    The trainer's `train_dataset` is an `UnlearningSteps`. Optimiser, schedule, clipping, checkpoints and logs are the
    trainer's. The reference of a method that has one is the model as it is given, with its adapter: its outputs are
    computed once and stored in the trainer's output folder. One process.

    Raises:
        RecipeError: another data set, arguments that do not say `steps.arguments`, or several processes.
    """

    def __init__(self, *args: Any, train_dataset: UnlearningSteps, **kwargs: Any) -> None:
        if not isinstance(train_dataset, UnlearningSteps):
            raise RecipeError("train_dataset is no UnlearningSteps; make one with forgetting.unlearning_steps")
        self._steps = steps = train_dataset
        kwargs.setdefault("data_collator", _only)
        of_trainer: Any = super().__init__
        of_trainer(*args, train_dataset=steps.numbers(), **kwargs)
        mine: Any = self
        for key, wanted in steps.arguments.items():
            if getattr(mine.args, key) != wanted:
                raise RecipeError(f"{key} is {getattr(mine.args, key)}, and one row is one step; write {key}={wanted}")
        if count() > 1 or mine.args.world_size > 1 or mine.args.n_gpu > 1:
            raise RecipeError("Unlearning trains in one process on one device; use forget run with torchrun for more")
        device = next(mine.model.parameters()).device
        self._micro_batches = MicroBatches(
            steps.data,
            steps.micro_batch_size,
            partners=steps.objective.partners,
            pad_id=steps.pad_id,
            packed=False,
            pass_tokens=pass_tokens(device),
        )
        self._reference = _reference(mine.model, steps, Path(mine.args.output_dir))

    def _get_train_sampler(self, *_: Any, **__: Any) -> SequentialSampler:
        mine: Any = self
        return SequentialSampler(mine.train_dataset)

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor | tuple[Tensor, None]:
        """The loss of one step; the gradients of all micro-batches but the last are added before it returns."""
        mine: Any = self
        steps = self._steps
        objective, step = steps.objective, int(inputs["step"])
        batches = self._micro_batches.of(steps.plan.at(step))
        weights, denominators = objective.weights(step, steps.steps), objective.denominators(batches)
        learner = Learner(mine.accelerator.unwrap_model(model), objective)
        device = next(learner.model.parameters()).device
        done: list[Tensor] = []
        for number, micro_batch in enumerate(batches, 1):
            batch = micro_batch.to(device)
            with mine.accelerator.autocast():
                share, _ = learner(batch, weights=weights, denominators=denominators, reference=self._reference(batch))
            if number < len(batches):
                mine.accelerator.backward(share)
                share = share.detach()
            done.append(share)
        loss = sum(done[:-1], done[-1])
        return (loss, None) if return_outputs else loss


def _only(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The collator: a batch is one row, and a row is a step."""
    (item,) = items
    return item


def _reference(model: Any, steps: UnlearningSteps, folder: Path) -> Reference:
    if not steps.objective.needs_reference:
        return no_reference
    cache = OutputFolder(folder).references
    return store_reference(model, steps.objective, steps.data, cache, pad_id=steps.pad_id)
