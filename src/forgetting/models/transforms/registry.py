"""Transforms by name: functions from typed parameters to a Transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from peft import PeftModel
from transformers import PreTrainedModel

from forgetting.core.registry import Registry
from forgetting.data.encode import Encoded


@dataclass(frozen=True, slots=True)
class Given:
    """The inputs of a transform apart from the model."""

    seed: int
    """The seed of its random numbers. Derive one per parameter name, so that the order of parameters is irrelevant."""
    pad_id: int = 0
    """The id that pads rows of tokens."""
    data: Mapping[str, Sequence[Encoded]] = field(default_factory=dict)
    """The encoded examples of each role that it declares."""


@dataclass(frozen=True, slots=True)
class Transform:
    """Changes a model.

    The same model, parameters and seed must give the same bits in every process: a stage that was interrupted is
    applied again, and each of several processes applies it for itself.
    """

    apply: Callable[[PreTrainedModel | PeftModel, Given], PreTrainedModel]
    """Maps the model of the stage before, with its active adapters, to a whole model without adapters.

    It may change its input.
    """
    roles: tuple[str, ...] = ()
    """The roles whose data it reads."""


TRANSFORMS: Registry[Callable[..., Transform]] = Registry(
    "transforms", "transform", "a function that returns a Transform"
)


def register_transform(name: str) -> Callable[[Callable[..., Transform]], Callable[..., Transform]]:
    """Registers a function that returns a Transform under `name`.

    From another package: name the function in the entry-point group `forgetting.transforms` too.
    """
    return TRANSFORMS.register(name)


def build_transform(name: str, parameters: Mapping[str, object] | None = None) -> Transform:
    """The transform `name` with these parameters.

    Raises:
        RecipeError: unknown transform, a parameter that it does not take, or the result is not a `Transform`.
    """
    transform = TRANSFORMS.build(name, parameters)
    if not isinstance(transform, Transform):
        raise TRANSFORMS.misfit(name, transform, "a Transform")
    return transform
