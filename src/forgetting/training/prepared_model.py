"""The model that a stage trains: the model itself, or a copy with weights sharded over the processes.

`fully_shard` changes a model permanently, and everything else (measuring, merging, saving, the next stage) needs a
plain one. So a sharded stage trains a copy, and copies its weights back to the model when they are needed. During
training the plain model is in CPU memory: an accelerator holds the shards only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from forgetting.core.errors import RecipeError
from forgetting.core.processes import count
from forgetting.models.adapters import adapter_state, load_state, trainable_state
from forgetting.models.quantised import has_quantised
from forgetting.objectives.objective import Objective
from forgetting.training.learner import Learner
from forgetting.training.processes import as_on_first, sums
from forgetting.training.reference import LiveReference, Reference
from forgetting.training.settings import Optimisation
from forgetting.training.sharding import shard, spread_weights, whole_weights
from forgetting.training.step import Step


class Trained:
    """A model prepared for training steps.

    Attributes:
        sharded: whether its weights are sharded over several processes.
        step: maps a batch to its share of the loss.
        parameters: the parameters that the optimiser updates.
    """

    def __init__(self, model: nn.Module, objective: Objective, reference: Reference, *, sharded: bool) -> None:
        as_on_first((trainable_state(model) | adapter_state(model)).values())
        self.model, self.sharded = model, sharded and count() > 1
        if self.sharded and has_quantised(model):
            raise RecipeError("sharding: full cannot shard weights in 4 bits; write sharding: none")
        self.device = next(model.parameters()).device
        self._module = self._twin() if self.sharded else model
        if self.sharded and isinstance(reference, LiveReference):
            reference = LiveReference(self._module, objective, reference.adapters)
        self.step = Step(Learner(self._module, objective), reference)
        if self.sharded:
            shard(self.step, self._module, self.device)
        self.parameters = [p for p in self._module.parameters() if p.requires_grad]

    def _twin(self) -> nn.Module:
        twin = copy.deepcopy(self.model.to("cpu"))
        self.model.to(self.device)
        return twin

    def weights(self) -> dict[str, Tensor]:
        """The weights of a checkpoint: the trained ones and all adapters, also frozen; gathered from all processes."""
        return whole_weights(self._module)

    def not_finite(self) -> list[str]:
        """The names of trained weights that hold NaN or infinity, on any process."""
        names, counts = [], []
        for name, parameter in self._module.named_parameters():
            if parameter.requires_grad:
                own = parameter.to_local() if isinstance(parameter, DTensor) else parameter
                names.append(name)
                counts.append(float((~torch.isfinite(own.detach())).any()))
        return [name for name, found in zip(names, sums(counts), strict=True) if found]

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Loads the output of `weights`, from this run or from one with more or fewer processes.

        Raises:
            RunError: they belong to another model or adapter.
        """
        load_state(self._module, spread_weights(weights, self._module))

    def hand_over(self) -> None:
        """Copies the trained weights into the model and moves it to its device, to be measured or saved."""
        if self.sharded:
            load_state(self.model.to(self.device), self.weights())

    def park(self) -> None:
        """Moves the plain model out of the accelerator's memory until it is needed."""
        if self.sharded:
            self.model.to(torch.device("cpu"))


def optimizer_of(parameters: Sequence[nn.Parameter], settings: Optimisation) -> torch.optim.Optimizer:
    """The optimiser that the settings name, on these parameters."""
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )
