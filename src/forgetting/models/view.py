"""A model with some of its adapters; several views share one set of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from forgetting.models.adapters.active import adapters_active
from forgetting.models.modes import in_evaluation_mode


@dataclass(frozen=True, eq=False)
class View:
    """A model with exactly these adapters active; without names, a plain model or the plain base below adapters."""

    model: nn.Module
    adapters: tuple[str, ...] = ()

    @contextmanager
    def active(self) -> Iterator[nn.Module]:
        """The model in evaluation mode with exactly these adapters; afterwards its mode and adapters are restored.

        Raises:
            ModelError: the model has no adapter of that name.
        """
        with in_evaluation_mode(self.model), adapters_active(self.model, self.adapters):
            yield self.model
