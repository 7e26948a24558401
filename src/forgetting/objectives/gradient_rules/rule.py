"""How the gradients of an objective's groups of roles are combined for the optimiser.

Most objectives sum: one backward pass over all roles. If a rule needs the gradients of the groups separately, the
groups are differentiated one after the other, each on its own roles' rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from forgetting.core.batch import Batch
from forgetting.core.errors import RecipeError
from forgetting.core.example import Role

Group = tuple[str, ...]
Tensors = tuple[Tensor | None, ...]
Change = Callable[[int, Tensor], Tensor]
"""The index of a parameter and its gradient to another gradient of its shape."""


def one_by_one(tensors: Tensors, change: Change) -> Tensors:
    """Each tensor that there is, changed by itself."""
    return tuple(None if t is None else change(index, t) for index, t in enumerate(tensors))


@dataclass(frozen=True)
class Gradient:
    """The gradient of some roles' terms: one tensor per trained parameter, None if these terms do not depend on it.

    Attributes:
        tensors: in the order of the parameters. Sharded ones hold this process's part.
        inner: the inner product of two such lists, summed over the processes if they are sharded.
        each: changes the tensors one by one; a sharded one is whole meanwhile.
    """

    tensors: Tensors
    inner: Callable[[Tensors, Tensors], float]
    each: Callable[[Tensors, Change], Tensors] = one_by_one

    def dot(self, other: Gradient) -> float:
        """The inner product with another gradient, over all parameters, in float64."""
        return self.inner(self.tensors, other.tensors)

    def norm(self) -> float:
        """The Euclidean norm."""
        return float(self.dot(self) ** 0.5)

    @torch.no_grad()
    def mul_(self, factor: float) -> Gradient:
        """factor · self, in place."""
        for tensor in self.tensors:
            if tensor is not None:
                tensor.mul_(factor)
        return self

    def scaled(self, factor: float) -> Gradient:
        """factor · self, in new tensors."""
        return replace(self, tensors=tuple(None if t is None else t * factor for t in self.tensors))

    @torch.no_grad()
    def changed(self, change: Change) -> Gradient:
        """With each parameter's whole gradient changed by itself."""
        return replace(self, tensors=self.each(self.tensors, change))

    @torch.no_grad()
    def add_(self, other: Gradient, factor: float = 1.0) -> Gradient:
        """self + factor · other, in place; returns this gradient, with tensors that only the other has."""
        pairs = zip(self.tensors, other.tensors, strict=True)
        return replace(self, tensors=tuple(_added(mine, theirs, factor) for mine, theirs in pairs))


def _added(mine: Tensor | None, theirs: Tensor | None, factor: float) -> Tensor | None:
    if theirs is None:
        return mine
    return theirs * factor if mine is None else mine.add_(theirs, alpha=factor)


class GradientRule(Protocol):
    """Combines several gradients into one. An instance belongs to one stage; it may keep state between steps."""

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The parts of the roles with separate gradients, in the order of `combine`.

        Args:
            groups: the objective's roles; the two roles of a pair are in one group and must stay together.

        Raises:
            RecipeError: the rule cannot be used with these roles.
        """
        ...

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """The gradient for the optimiser. The rule may keep or change the given tensors."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """The state for the checkpoint: `Tensors` (one per parameter) and plain numbers, by name."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Loads the output of `state_dict`; empty: the initial state."""
        ...


@runtime_checkable
class LooksAhead(GradientRule, Protocol):
    """A rule that wants the gradient of its first part at other weights: θ + `ahead`, restored afterwards."""

    def ahead(self, first: Gradient) -> Gradient:
        """The displacement of the weights, from the first part's gradient at θ, which it must not change.

        The part's gradient at θ is discarded; losses are reported at θ. Costs one more forward and backward pass of the
        part's rows, with the same dropout, and memory for a copy of the trained weights.
        """
        ...


@dataclass(frozen=True)
class Before:
    """What a rule may look at before the first step, without gradients and dropout.

    Attributes:
        model: the model before the stage, with the stage's adapter.
        parameters: its trained parameters, in the order of `Gradient.tensors`.
        batches: a new pass over the first so many examples of a role, one in each row.
        forward: runs the model's body on a batch, for hooks to see.
    """

    model: nn.Module
    parameters: Sequence[nn.Parameter]
    batches: Callable[[str, int], Iterable[Batch]]
    forward: Callable[[Batch], object]


@runtime_checkable
class Prepares(GradientRule, Protocol):
    """A rule that computes something of the model and the data before the first step."""

    def prepare(self, before: Before) -> None:
        """Computes it and leaves the model as it was; the result is in `state_dict`, from which a resume loads it."""
        ...


@dataclass(frozen=True)
class Preparation:
    """What a rule computes before the first step, for an estimate.

    Attributes:
        rows: how many examples of each role it forwards, at most.
        passes: how many times.
        matrices: the input size of each matrix of which it keeps directions, and the bytes of a number of them.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    passes: int = 1
    matrices: Sequence[tuple[int, int]] = ()


@runtime_checkable
class Foretells(Prepares, Protocol):
    """A rule that says beforehand what it will compute."""

    def foretold(self, model: nn.Module) -> Preparation:
        """What `prepare` takes on this model, ready to be trained; nothing is computed."""
        ...


class Stateless:
    """A rule without state."""

    def state_dict(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Does nothing."""


class Sum(Stateless):
    """The plain sum: all roles in one backward pass."""

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """All roles together."""
        return (tuple(role for group in groups for role in group),)

    def combine(self, gradients: Sequence[Gradient]) -> Gradient:
        """The only gradient."""
        return gradients[0]


def forget_first(rule: str, groups: Sequence[Group]) -> tuple[Group, ...]:
    """The roles of the forget group, and all others if there are any.

    Raises:
        RecipeError: there is no forget role.
    """
    forget = tuple(role for group in groups if Role.FORGET in group for role in group)
    rest = tuple(role for group in groups if Role.FORGET not in group for role in group)
    if not forget:
        raise RecipeError(
            f"gradients: {rule} changes the forget gradient, and the method reads {', '.join(rest)} only; choose a "
            "method with forget terms, or gradients: sum"
        )
    return (forget, rest) if rest else (forget,)


def forget_and_rest(rule: str, groups: Sequence[Group]) -> tuple[Group, Group]:
    """The roles of the forget group, and all others.

    Raises:
        RecipeError: one of the two is empty, so a rule that balances them cannot be used.
    """
    forget = tuple(role for group in groups if Role.FORGET in group for role in group)
    rest = tuple(role for group in groups if Role.FORGET not in group for role in group)
    if not forget or not rest:
        found = ", ".join((*forget, *rest))
        raise RecipeError(
            f"gradients: {rule} weighs the forget terms against the others, and the method reads {found} only; choose "
            "a method with forget and retain terms, or gradients: sum"
        )
    return forget, rest
