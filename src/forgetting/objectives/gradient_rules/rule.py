"""How the gradients of an objective's groups of roles are combined for the optimiser.

Most objectives sum: one backward pass over all roles. If a rule needs the gradients of the groups separately, the
groups are differentiated one after the other, each on its own roles' rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from forgetting.core.errors import RecipeError
from forgetting.core.example import Role

Group = tuple[str, ...]
Tensors = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Gradient:
    """The gradient of some roles' terms: one tensor per trained parameter, None if these terms do not depend on it.

    Attributes:
        tensors: in the order of the parameters. Sharded ones hold this process's part.
        inner: the inner product of two such lists, summed over the processes if they are sharded.
    """

    tensors: Tensors
    inner: Callable[[Tensors, Tensors], float]

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
        return Gradient(tuple(None if t is None else t * factor for t in self.tensors), self.inner)

    @torch.no_grad()
    def add_(self, other: Gradient, factor: float = 1.0) -> Gradient:
        """self + factor · other, in place; returns this gradient, with tensors that only the other has."""
        pairs = zip(self.tensors, other.tensors, strict=True)
        return Gradient(tuple(_added(mine, theirs, factor) for mine, theirs in pairs), self.inner)


def _added(mine: Tensor | None, theirs: Tensor | None, factor: float) -> Tensor | None:
    if theirs is None:
        return mine
    return theirs * factor if mine is None else mine.add_(theirs, alpha=factor)


class GradientRule(Protocol):
    """Combines several gradients into one. An instance belongs to one stage; it may keep state between steps."""

    def parts(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The parts of the roles with separate gradients, in the order of `combine`; one part means the plain sum.

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
