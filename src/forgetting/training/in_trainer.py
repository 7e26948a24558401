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

    def numbers(self, processes: int = 1) -> Dataset:
        """The data set that the trainer sees: of each step a row for each process, with the step's number.

        A trainer deals its rows out in turn, so all processes get the same step.
        """
        return Dataset.from_dict({"step": [step for step in range(self.steps) for _ in range(processes)]})


class Unlearning:
    """The loss of an objective for a trainer: `class Unlearner(Unlearning, SFTTrainer): pass`.

    The trainer's `train_dataset` is an `UnlearningSteps`. Optimiser, schedule, clipping, checkpoints and logs are the
    trainer's. The reference of a method that has one is the model as it is given, with its adapter: its outputs are
    computed once and stored in the trainer's output folder. One process, or several with DeepSpeed's ZeRO-1 or -2,
    which take the same steps.

    Raises:
        RecipeError: another data set, arguments that do not say `steps.arguments`, several processes without DeepSpeed,
            or ZeRO-3.
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
        self._processes = _processes(mine)
        mine.train_dataset = steps.numbers(self._processes)
        if mine.is_deepspeed_enabled:
            mine.model.to(mine.args.device)  # DeepSpeed's engine would move it later, and the reference is computed now
        device = next(mine.model.parameters()).device
        self._micro_batches = MicroBatches(
            steps.data,
            steps.micro_batch_size,
            partners=steps.objective.partners,
            pad_id=steps.pad_id,
            packed=False,
            pass_tokens=pass_tokens(device),
            processes=self._processes,
        )
        self._reference = _reference(mine.model, steps, Path(mine.args.output_dir))

    def _get_train_sampler(self, *_: Any, **__: Any) -> SequentialSampler:
        mine: Any = self
        return SequentialSampler(mine.train_dataset)

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor | tuple[Tensor, None]:
        """The loss of one step; the gradients of all micro-batches but the last are added before it returns.

        In several processes it is this one's share times their number, since gradients and logged losses are averaged.
        """
        mine: Any = self
        steps, processes = self._steps, self._processes
        objective, step = steps.objective, int(inputs["step"])
        batches = self._micro_batches.of(steps.plan.at(step))
        weights, denominators = objective.weights(step, steps.steps), objective.denominators(batches)
        learner = Learner(mine.accelerator.unwrap_model(model), objective)
        device = next(learner.model.parameters()).device
        done: list[Tensor] = []
        # All processes go backward equally often, since ZeRO-2 reduces each time; one without a batch adds zeros.
        numbers = range(mine.args.process_index, -(-len(batches) // processes) * processes, processes)
        for number in numbers:
            counts = number < len(batches)
            batch = batches[number if counts else 0].to(device)
            own = weights if counts else [0.0] * len(weights)
            with mine.accelerator.autocast():
                share, _ = learner(batch, weights=own, denominators=denominators, reference=self._reference(batch))
            share = share * processes
            if number != numbers[-1]:
                self._add(share)
                share = share.detach()
            done.append(share)
        loss = sum(done[:-1], done[-1])
        return (loss, None) if return_outputs else loss

    def _add(self, share: Tensor) -> None:
        """Adds the gradients of a micro-batch that is not the step's last; DeepSpeed would take a step after each."""
        mine: Any = self
        accelerator = mine.accelerator
        last, accelerator.sync_gradients = accelerator.sync_gradients, False
        try:
            accelerator.backward(share)
        finally:
            accelerator.sync_gradients = last


def _processes(trainer: Any) -> int:
    """How many processes share a step.

    Raises:
        RecipeError: they, or the devices, are joined in a way that this loss does not know.
    """
    several = max(count(), trainer.args.world_size)
    if not trainer.is_deepspeed_enabled:
        if several > 1 or trainer.args.n_gpu > 1:
            raise RecipeError(
                "Unlearning trains in one process on one device, or in several with DeepSpeed's ZeRO-2; use forget run "
                "with torchrun for other ways"
            )
    elif trainer.accelerator.state.deepspeed_plugin.zero_stage > 2:
        raise RecipeError(
            "Unlearning reads the head's weights by themselves, which ZeRO-3 keeps in pieces; write stage 2, or use "
            "forget run with sharding=full"
        )
    return int(several)


def _only(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The collator: a batch is one row, and a row is a step."""
    (item,) = items
    return item


def _reference(model: Any, steps: UnlearningSteps, folder: Path) -> Reference:
    if not steps.objective.needs_reference:
        return no_reference
    cache = OutputFolder(folder).references
    return store_reference(model, steps.objective, steps.data, cache, pad_id=steps.pad_id)
